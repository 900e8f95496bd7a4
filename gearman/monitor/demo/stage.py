"""Starts the processes of the demonstration, and ends them."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ...errors import StartupError
from ..reading.link import Target

HOST: Final = "127.0.0.1"
# Seconds that the server may take to start, and a process to end.
PATIENCE: Final = 20.0

_SETTINGS: Final = """\
[functions."mail.send"]
retries = 3
backoff = "exponential:2:30"
dead = "list"

[functions."image.resize"]
max-running = 2
dead = "list"

[functions."archive.old"]
ttl = 900

[functions."report.*"]
retries = 1
dead = "list"
timeout = 30
"""
_SCHEDULE: Final = """
[schedules.minutely]
cron = "* * * * *"
function = "report.minute"
workload = "demo"
"""


@contextmanager
def started() -> Iterator[Target]:
    """Run a server with workers and load, until the end of this context.

    Raises StartupError. The processes also end when this one is killed.
    """
    port = _free_port()
    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="gearman-demo-")
        )
        settings = Path(folder, "settings.toml")
        # Schedules need the extra cron.
        schedule = _SCHEDULE if find_spec("cronsim") else ""
        settings.write_text(_SETTINGS + schedule)
        server = ("-L", HOST, "-p", str(port), "--settings", str(settings))
        process = stack.enter_context(_running("server", server))
        _wait(process, port)
        for part in ("workers", "load"):
            stack.enter_context(_running(part, (str(port),)))
        yield Target(HOST, port)


@contextmanager
def _running(part: str, arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a part of the demonstration; it ends with its standard input."""
    # The same package as that of this process, wherever that is.
    home = str(Path(__file__).resolve().parents[3])
    paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-P", "-m", "gearman.monitor.demo", part, *arguments]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is for the monitor, which ends them.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None  # noqa: S101
        process.stdin.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server listens. Raises StartupError."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), PATIENCE).close()
            return
        except OSError:
            time.sleep(0.05)
    raise StartupError("the server of the demonstration did not start")
