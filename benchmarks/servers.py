"""The job servers of this machine: finding, starting and stopping them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import gearman

HOST = "127.0.0.1"

# Seconds that a server may take to start, or to stop.
_PATIENCE = 15.0

# Groups in the order of the tables, and how to install a missing one.
GROUPS = {
    "ours-speedups": "build it: GEARMAN_SPEEDUPS=yes python setup.py build_ext -i",
    "ours-pure": "",
    "ours-steered": "",
    "gearmand": "on Debian: apt-get install gearman-job-server",
    "perl": "on Debian: apt-get install gearman-server",
    "floor": "",
}

# Those that run only if they are asked for.
EXTRA = {"ours-steered", "floor"}

# What `ours-steered` does for each job, whatever the client says.
POLICIES = """\
[functions."*"]
retries = 3
timeout = 60
ttl = 3600
keep = 60
"""


class ServerError(Exception):
    """A server cannot be started, or does not answer."""


@dataclass(frozen=True, slots=True)
class Server:
    """A way to run a server; `{port}` in its command stands for the port.

    If a `group` has several servers, the best one for each load is reported. It is
    started with a file that has the `settings`, if there are any. It has failed if it
    does not listen after `patience` seconds.
    """

    group: str
    label: str
    version: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: str = ""
    patience: float = _PATIENCE

    @contextmanager
    def running(self) -> Iterator[tuple[int, int]]:
        """Run the server on a free port; yields its process id and the port."""
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="gearman-benchmark-") as folder:
            log = Path(folder, "log")
            command = [word.format(port=port) for word in self.command]
            if self.settings:
                file = Path(folder, "settings.toml")
                file.write_text(self.settings)
                command += ["--settings", str(file)]
            with log.open("wb") as output:
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=with_gearman(self.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            try:
                wait_until_it_listens(process, port, log, self.patience)
                yield process.pid, port
            finally:
                end(process)


def find(floor: Path | None) -> list[Server]:
    """Return the installed servers, and the minimal one if it was built."""
    found = [*_installed()]
    if floor is not None:
        command = (str(floor), "{port}")
        found.append(Server("floor", "floor", "bare C epoll loop", command))
    return found


@cache
def _installed() -> tuple[Server, ...]:
    """Return the installed servers; each is started once, to tell its version."""
    return (*_ours(), *_foreign())


def _ours() -> Iterator[Server]:
    module = (sys.executable, "-P", "-m", "gearman.server")
    listen = ("-L", HOST, "-p", "{port}")
    for group, pure in (("ours-speedups", "0"), ("ours-pure", "1")):
        environment = {"GEARMAN_PURE_PYTHON": pure}
        version = _output((*module, "--version"), environment)
        if pure == "1" or not version.endswith("pure"):
            yield Server(group, group, version, (*module, *listen), environment)
    group, command = "ours-steered", (*module, *listen)
    version = _output((*module, "--version"), {})
    yield Server(group, group, version, command, {}, POLICIES)


def _foreign() -> Iterator[Server]:
    """Yield the servers of others, each the first one of its kind on the search path.

    The servers in C and Perl, and this project's, have the same name: the beginning of
    the file tells which one it is.
    """
    listen = ("-L", HOST, "-p", "{port}")
    kinds: set[str] = set()
    for folder in (*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin"):
        path = shutil.which("gearmand", path=folder)
        kind = _kind(Path(path)) if path else ""
        if not path or not kind or kind in kinds:
            continue
        kinds.add(kind)
        version = _output((path, "--version"), {})
        if kind == "perl":
            yield Server("perl", "perl", version, (path, *listen))
            continue
        for threads in ("1", "4"):
            command = (path, *listen, "-l", "stderr", "-t", threads)
            yield Server("gearmand", f"gearmand -t {threads}", version, command)


def _kind(path: Path) -> str:
    """Return "c" or "perl", or "" for other scripts."""
    with path.open("rb") as file:
        start = file.readline(200)
    if not start.startswith(b"#!"):
        return "c"
    return "perl" if b"perl" in start else ""


def _output(command: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """Return the last line that a program prints, or "" if it fails."""
    try:
        said = output(command, _PATIENCE, with_gearman(environment))
    except ServerError:
        return ""
    return "".join(said.splitlines()[-1:]).strip()


def output(
    command: Sequence[str],
    seconds: float,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Return what a program prints.

    Raises ServerError with its last line of errors if it fails, or if it takes longer.
    """
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except OSError as error:
        raise ServerError(f"{command[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise ServerError(f"did not come to an end in {seconds:g} seconds") from None
    if done.returncode:
        errors = done.stderr.splitlines()
        raise ServerError(errors[-1] if errors else f"exit status {done.returncode}")
    return done.stdout.strip()


def with_gearman(changes: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose Python imports the same `gearman` as this one."""
    path = str(Path(gearman.__file__).parent.parent)
    return {**os.environ, "PYTHONPATH": path, **changes}


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_it_listens(
    process: subprocess.Popen[bytes],
    port: int,
    log: Path,
    patience: float = _PATIENCE,
) -> None:
    deadline = time.monotonic() + patience
    while not _listens(port):
        if process.poll() is not None:
            said = log.read_text(errors="replace").splitlines()
            raise ServerError(f"ended immediately: {''.join(said[-1:])}")
        if time.monotonic() > deadline:
            raise ServerError(f"did not listen within {patience:.0f} seconds")
        time.sleep(0.005)


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), _PATIENCE).close()
    except OSError:
        return False
    return True


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
