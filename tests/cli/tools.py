"""The tools of this package as processes, with their output or on a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.interop.programs import c_tool
from tests.servers import DEADLINE, HOST, Server, package_environment


def our_tool(
    name: str, server: Server | None, *options: str, path: Path | None = None
) -> list[str]:
    """Return the command that runs a tool of this package, with a server if given.

    `path` is a further folder of Python modules.
    """
    found = package_environment(path=path)["PYTHONPATH"]
    python = ["env", f"PYTHONPATH={found}", sys.executable, "-P"]
    place = ["-h", HOST, "-p", str(server.port)] if server else []
    return [*python, "-m", f"gearman.cli.{name}", *place, *options]


def tool(kind: str, name: str, server: Server, *options: str) -> list[str]:
    """Return the command that runs the C tool or ours."""
    make = {"c": c_tool, "ours": our_tool}[kind]
    return make(name, server, *options)


@dataclass(frozen=True)
class Outcome:
    """The output of a command, and its exit status."""

    status: int
    out: bytes
    err: str


def outcome(
    command: list[str],
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a command to its end."""
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        timeout=DEADLINE,
        env={**os.environ, **(environment or {})},
    )
    return Outcome(done.returncode, done.stdout, done.stderr.decode())


def gearman(server: Server | None, *options: str, stdin: bytes = b"") -> Outcome:
    return outcome(our_tool("gearman", server, *options), stdin)


def gearadmin(server: Server | None, *options: str) -> Outcome:
    return outcome(our_tool("gearadmin", server, *options))


class Terminal:
    """A command whose standard error is a terminal, as are streams not given."""

    def __init__(
        self, command: list[str], stdin: str | None = None, stdout: str | None = None
    ) -> None:
        self._controller, terminal = pty.openpty()
        files = {0: (stdin, os.O_RDONLY), 1: (stdout, os.O_WRONLY | os.O_CREAT)}
        opened = {n: os.open(p, mode, 0o600) for n, (p, mode) in files.items() if p}
        self.process = subprocess.Popen(
            command,
            stdin=opened.get(0, terminal),
            stdout=opened.get(1, terminal),
            stderr=terminal,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        )
        for descriptor in (terminal, *opened.values()):
            os.close(descriptor)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(DEADLINE)
        os.close(self._controller)

    def until(self, pattern: str) -> str:
        """Read until the pattern appears; return the match."""
        deadline = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self.shown)):
            assert self._read_more(deadline), f"ended; shown: {self.shown!r}"
        self.shown = self.shown[found.end() :]
        return found[0]

    def rest(self) -> str:
        """Return the rest of the output."""
        deadline = time.monotonic() + DEADLINE
        while self._read_more(deadline):
            pass
        self.process.wait(DEADLINE)
        return self.shown

    def type(self, keys: str) -> None:
        os.write(self._controller, keys.encode())

    def interrupt(self) -> None:
        """Do what Ctrl-C does on a terminal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def _read_more(self, deadline: float) -> bool:
        remaining = max(0, deadline - time.monotonic())
        if not select.select([self._controller], [], [], remaining)[0]:
            raise TimeoutError(f"silent; shown: {self.shown!r}")
        try:
            data = os.read(self._controller, 1 << 16)
        except OSError:
            # This is the error of Linux when the last process has closed the terminal.
            return False
        self.shown += data.decode()
        return bool(data)
