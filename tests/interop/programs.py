"""Clients and workers of others, as processes that a test controls.

All workers have the functions `upper`, `hold` and `fail`; those in PHP and Perl have
some more. `hold` prints a line when it begins, and ends when it gets a line.
"""

import functools
import os
import re
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.servers import DEADLINE, HOST, Server, foreign, missing
from tests.wire import Peer

PEERS = Path(__file__).parent / "peers"

PRIORITIES = ("normal", "high", "low")


class Program:
    """A process in a session of its own, whose output is read line by line."""

    def __init__(self, *command: str) -> None:
        self.process = subprocess.Popen(
            command,
            bufsize=0,
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()

    def line(self) -> str:
        """Return the next line of the program's output."""
        deadline = time.monotonic() + DEADLINE
        while b"\n" not in self.pending:
            if not self._read_more(deadline):
                raise AssertionError(f"ended after saying {self.pending!r}")
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode()

    def rest(self) -> str:
        """Return the rest of the program's output."""
        deadline = time.monotonic() + DEADLINE
        while self._read_more(deadline):
            pass
        self.process.wait(DEADLINE)
        said, self.pending = self.pending, b""
        return said.decode()

    def tell(self, line: str) -> None:
        """Write a line to the program."""
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")

    def kill(self) -> None:
        """Kill the program and its children."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(DEADLINE)

    def _read_more(self, deadline: float) -> bytes:
        assert self.process.stdout
        remaining = max(0, deadline - time.monotonic())
        if not select.select([self.process.stdout], [], [], remaining)[0]:
            raise TimeoutError(f"silent; said before: {self.pending!r}")
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        self.pending += data
        return data


@functools.cache
def php() -> str:
    """Return PHP's path; it must have the Gearman extension."""
    program = foreign("php")
    modules = subprocess.run([program, "-m"], capture_output=True, timeout=DEADLINE)
    if b"\ngearman\n" not in modules.stdout:
        missing("PHP's gearman extension")
    return program


@functools.cache
def perl() -> str:
    """Return Perl's path; it must have the Gearman modules."""
    program = foreign("perl")
    modules = ["-MGearman::Client", "-MGearman::Worker", "-e1"]
    found = subprocess.run([program, *modules], capture_output=True, timeout=DEADLINE)
    if found.returncode:
        missing("Perl's Gearman::Client")
    return program


def compiled(folder: Path) -> str:
    """Compile the program that shows features of libgearman; return its path."""
    program = folder / "features"
    source = str(PEERS / "features.c")
    command = [foreign("gcc"), "-o", str(program), source, "-lgearman"]
    done = subprocess.run(command, capture_output=True, timeout=DEADLINE)
    if b"libgearman/gearman.h" in done.stderr:
        missing("libgearman's headers")
    assert done.returncode == 0, done.stderr.decode()
    return str(program)


def run(*command: str, status: int = 0, stdin: str = "") -> str:
    """Return the output of a program, standard error after standard output."""
    done = subprocess.run(
        command, input=stdin.encode(), capture_output=True, timeout=DEADLINE
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == status, said
    return said


def take_job(worker: Peer) -> list[bytes]:
    """Wait for a job; return its handle, function, unique and workload."""
    worker.send("PRE_SLEEP")
    worker.expect("NOOP")
    worker.send("GRAB_JOB_UNIQ")
    return worker.expect("JOB_ASSIGN_UNIQ")


def c_tool(name: str, server: Server, *options: str) -> list[str]:
    """Return the command that runs a tool of C gearman with the server."""
    return [foreign(name), "-h", HOST, "-p", str(server.port), *options]


# The commands of a C worker for each function. Their standard input is the workload, so
# they read from descriptor 3 when to go on.
_C_FUNCTIONS = {
    "upper": 'w=$(cat); echo "did $w" >&2; printf %s "$w" | tr a-z A-Z',
    "hold": 'w=$(cat); echo holding >&2; read -r go <&3; printf "held %s" "$w"',
    "fail": "cat >/dev/null; echo failing >&2; exit 1",
}


def worker(kind: str, server: Server, function: str) -> Program:
    """Start a worker that has at least this function."""
    if kind == "php":
        return Program(php(), str(PEERS / "worker.php"), str(server.port))
    if kind == "perl":
        return Program(perl(), str(PEERS / "worker.pl"), str(server.port))
    work = ["-w", "-f", function, "--", "sh", "-c", _C_FUNCTIONS[function]]
    command = c_tool("gearman", server, *work)
    return Program("sh", "-c", 'exec 3<&0; exec "$@"', "sh", *command)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job, as its client has printed it."""

    handle: str
    result: str = ""
    failed: bool = False


@dataclass
class Submission:
    """A client with one job; leaving the context ends it."""

    kind: str
    program: Program

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.program.__exit__()

    def outcome(self) -> Outcome:
        """Return the outcome, after the client has ended."""
        said = self.program.rest()
        return _c_outcome(said) if self.kind == "c" else _line_outcome(said)


def submit(
    kind: str,
    server: Server,
    function: str,
    workload: str,
    *,
    priority: str = "normal",
    background: bool = False,
    unique: str = "",
) -> Submission:
    """Start a client that submits one job and, if in the foreground, waits for it."""
    if kind == "c":
        options = {"high": ["-I"], "low": ["-L"]}.get(priority, [])
        options += ["-b"] if background else []
        options += ["-u", unique] if unique else []
        command = c_tool("gearman", server, *options, "-v", "-f", function, workload)
        return Submission(kind, Program(*command))
    program = {"php": php, "perl": perl}[kind]()
    script = PEERS / {"php": "client.php", "perl": "client.pl"}[kind]
    mode = priority + ("-background" if background else "")
    command = [program, str(script), str(server.port), mode, function, workload]
    return Submission(kind, Program(*command, *([unique] if unique else [])))


def _c_outcome(said: str) -> Outcome:
    created = re.search("Task created: (.*)\n", said)
    assert created, said
    result = re.sub("Task created: .*\n|[0-9]+% Complete\n|Job failed\n", "", said)
    return Outcome(created[1], result, "Job failed" in said)


def _line_outcome(said: str) -> Outcome:
    events = [line.partition(" ") for line in said.splitlines()]
    words = [word for word, _, _ in events]
    assert words[0] == "created", said
    assert "error" not in words, said
    result = "".join(text for word, _, text in events if word in ("data", "complete"))
    return Outcome(events[0][2], result, "fail" in words)
