"""A server in a child process, on sockets that this process has opened."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from ...errors import StartupError
from ..protocols.registry import GEAR
from ..settings.config import Config

# Variables with which systemd speaks to this process; the child is no service.
_OF_SYSTEMD: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

# Seconds that the child may take to end. A store has ten for its last commit, and
# hooks have three.
PATIENCE: Final = 20.0


@contextmanager
def running(
    options: Sequence[str], config: Config, groups: Sequence[list[socket.socket]]
) -> Iterator[None]:
    """Run a server with these options until the end of this context.

    `groups` has the sockets of gear and those of the protocols of `config`. Raises
    StartupError.
    """
    names = [GEAR, *(each.name for each in config.protocols)]
    given = [
        (sock.fileno(), name)
        for name, group in zip(names, groups, strict=True)
        for sock in group
    ]
    process = _start(options, given)
    with _pipe(process.stdin) as stdin, _pipe(process.stdout) as stdout:
        try:
            _await(stdout)
            files = _leave(groups)
            try:
                yield
            finally:
                for file in files:
                    with suppress(OSError):
                        os.unlink(file)
        finally:
            _end(process, stdin)


def _start(
    options: Sequence[str], given: Sequence[tuple[int, str]]
) -> subprocess.Popen[bytes]:
    # The same package as that of this process, wherever that is.
    home = str(Path(__file__).resolve().parents[3])
    paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths}
    for name in _OF_SYSTEMD:
        environment.pop(name, None)
    module = (sys.executable, "-P", "-m", __package__)
    return subprocess.Popen(
        [*module, json.dumps(given), *options],
        env=environment,
        pass_fds=[descriptor for descriptor, _ in given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C is for this process, which ends the child.
        start_new_session=True,
    )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101
    return pipe


def _await(reports: IO[bytes]) -> None:
    """Return when the server accepts connections. Raises StartupError."""
    line = reports.readline()
    if line == b"\n":
        return
    reason = os.fsdecode(line).strip()
    raise StartupError(reason or "the process of the server ended before it was ready")


def _leave(groups: Sequence[list[socket.socket]]) -> list[str]:
    """Close the sockets, so that nobody connects to them when the child has ended.

    Returns the files of Unix sockets, which the child doesn't remove.
    """
    files = []
    for sock in (sock for group in groups for sock in group):
        if sock.family == socket.AF_UNIX:
            files.append(sock.getsockname())
        sock.close()
    return files


def _end(process: subprocess.Popen[bytes], stdin: IO[bytes]) -> None:
    # Not only by the end of its input: children of this process may keep that open.
    process.terminate()
    stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
