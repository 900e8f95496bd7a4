"""Plays one scene with either library; its programs are processes, run in steps."""

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests import servers
from tests.servers import DEADLINE, HOST, Server

HERE = Path(__file__).parent
SERVERS: dict[str, Callable[..., AbstractContextManager[Server]]] = {
    "gearmand": servers.gearmand,
    "ours": servers.ours,
}

# Parts that differ between runs, or between Pythons, and have no meaning.
MASKS = (
    (re.compile(r"\b0x[0-9a-f]{6,}\b"), "ADDRESS"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "UNIQUE"),
    (re.compile(r"\bH:[\w.-]+:\d+"), "HANDLE"),
    (re.compile("<type '"), "<class '"),
)

# Errors whose texts people read in logs; the texts of other errors are not compared.
READ = ("ConnectionError", "ExceededConnectionAttempts", "ServerUnavailable")

Scene = Callable[["Stage"], Iterator[tuple[str, Any]]]
SCENES: dict[str, Scene] = {}


def scene(function: Scene) -> Scene:
    """Register a scene, which yields labels and results."""
    SCENES[function.__name__] = function
    return function


@dataclass(frozen=True)
class Library:
    """How to run a program with one of the libraries."""

    python: tuple[str, ...]
    environment: Mapping[str, str]


def our_library() -> Library:
    return Library((sys.executable, "-P"), servers.package_environment())


class Player:
    """A program in its own process; it does one step at a time."""

    def __init__(self, library: Library, log: Path) -> None:
        path = os.pathsep.join([library.environment["PYTHONPATH"], str(HERE)])
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [*library.python, str(HERE / "driver.py")],
                env={**library.environment, "PYTHONPATH": path},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
            )
        self.pending = b""

    def run(self, source: str) -> Any:
        """Run a step; return the value of its last expression, or its error."""
        self.start(source)
        return self.result()

    def start(self, source: str) -> None:
        """Begin a step whose result is fetched later."""
        self.tell(json.dumps(source))

    def tell(self, line: str) -> None:
        """Send a line for the program to hear."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    def result(self, *, whatever_is_said: bool = False) -> Any:
        """Wait for the end of the step, and return its result."""
        answer = self._answer()
        while whatever_is_said and "said" in answer:
            answer = self._answer()
        if "raised" in answer:
            name, text = answer["raised"]
            with_text = name.rpartition(".")[2] in READ
            return masked(f"raised {name}: {text}" if with_text else f"raised {name}")
        assert "value" in answer, answer
        return masked(answer["value"])

    def said(self) -> Any:
        """Wait until the program says something."""
        answer = self._answer()
        assert "said" in answer, answer
        return masked(answer["said"])

    def _answer(self) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE
        while b"\n" not in self.pending:
            self._read_more(deadline)
        line, _, self.pending = self.pending.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _read_more(self, deadline: float) -> None:
        assert self.process.stdout is not None
        remaining = max(0.0, deadline - time.monotonic())
        if not select.select([self.process.stdout], [], [], remaining)[0]:
            raise TimeoutError("a step of the program never came to its end")
        data = self.process.stdout.read(1 << 16)
        if not data:
            raise EOFError("the program ended in the middle of a step")
        self.pending += data

    def close(self) -> None:
        """Kill the program, also during a step."""
        self.process.kill()
        self.process.communicate()


def masked(value: Any) -> Any:
    """Return the value, with each text in it masked."""
    if isinstance(value, dict):
        return {masked(key): masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, str):
        for pattern, word in MASKS:
            value = pattern.sub(word, value)
    return value


@dataclass
class Stage:
    """A server, and programs that use it."""

    library: Library
    server_kind: str
    port: int
    log: Path
    resources: ExitStack = field(default_factory=ExitStack)
    server: ExitStack = field(default_factory=ExitStack)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def start_server(self) -> None:
        """Run a server on the port that the programs know."""
        self.server.enter_context(SERVERS[self.server_kind](port=self.port))

    def stop_server(self) -> None:
        self.server.close()

    def second_server(self) -> AbstractContextManager[Server]:
        """Return one more server, to be run, on some other port."""
        return SERVERS[self.server_kind]()

    def add_player(self) -> Player:
        """Start one more program; `server` in it is the server's address."""
        player = Player(self.library, self.log)
        self.resources.callback(player.close)
        player.run(f"import gearman, cast\nserver = {self.address!r}")
        return player

    @cached_property
    def client(self) -> Player:
        """A program with a client."""
        player = self.add_player()
        player.run("client = gearman.GearmanClient([server])")
        return player

    @cached_property
    def worker(self) -> Player:
        """A program with a worker that has no tasks yet."""
        player = self.add_player()
        player.run("worker = cast.CountedWorker([server])")
        return player


def play(
    name: str, library: Library, server: str, port: int, log: Path
) -> dict[str, Any]:
    """Return the results of a scene by their labels."""
    stage = Stage(library, server, port, log)
    log.touch()
    with stage.server, stage.resources:
        stage.start_server()
        results: dict[str, Any] = {}
        for label, result in SCENES[name](stage):
            assert label not in results, label
            results[label] = without(port, result)
        return results


def without(port: int, value: Any) -> Any:
    """Return the value, with a word instead of the port in its texts."""
    return json.loads(json.dumps(value).replace(f":{port}", ":PORT"))
