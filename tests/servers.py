"""Real job servers for tests: each in its own process, on a free loopback port.

A server is ready when it has answered, and it is ended by its process id. So no test
has to sleep, and tests of several checkouts can run at the same time.
"""

import atexit
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import cycle
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

import gearman
from tests import forks
from tests.forks import Process

T = TypeVar("T")

# Seconds after which a step of a test counts as hung. On a slow machine, set the
# variable to more. Only failing tests wait so long.
DEADLINE = float(os.environ.get("TEST_DEADLINE", "20"))

# The longest pause between two looks whether something has become true.
PAUSE = 0.02

HOST = "127.0.0.1"

# A server that looks for stalled connections often, instead of once a second.
_WATCHFUL = """
import sys
from gearman.server.__main__ import main
from gearman.server.connections import watchdog
watchdog.WATCH_INTERVAL = 0.05
sys.exit(main())
"""

# The number of ports that a test process reserves.
_BLOCK = 50
_RANDOM = random.SystemRandom()

# Those that `free_port` returns to nobody.
_kept: set[int] = set()

# The Debian packages of the programs of others.
PACKAGES = {
    "gearmand": "gearman-job-server",
    "gearman": "gearman-tools",
    "gearadmin": "gearman-tools",
    "php": "php-cli",
    "PHP's gearman extension": "php-gearman",
    "perl": "perl",
    "Perl's Gearman::Client": "libgearman-client-perl",
    "gcc": "gcc",
    "libgearman's headers": "libgearman-dev",
    "memcached": "memcached",
    "curl": "curl",
    "postgres": "postgresql",
    "initdb": "postgresql",
    "psycopg": "python3-psycopg",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "pymysql": "python3-pymysql",
    "redis-server": "redis-server",
    "redis-sentinel": "redis-sentinel",
    "redis-py": "python3-redis",
    "mariadb": "mariadb-client",
    "mariadb_config": "libmariadb-dev",
    "galera": "galera-4",
    "ss": "iproute2",
    "make": "make",
    "valgrind": "valgrind",
    "PL/Python": "postgresql-plpython3-15",
    "logrotate": "logrotate",
    "systemd-analyze": "systemd",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "systemd-socket-activate": "systemd",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
}


def missing(program: str) -> NoReturn:
    """Fail the test in CI, where all tests must run; skip it elsewhere."""
    package = PACKAGES.get(program, program)
    sentence = f"{program} is not installed; on Debian: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def foreign(program: str) -> str:
    """Return the path of a compiled program; if there is none, call `missing`.

    Scripts are ignored: this package and Perl's server install some with the names of
    the C programs.
    """
    folders = [*os.get_exec_path(), "/usr/sbin"]
    for folder in folders:
        path = shutil.which(program, path=folder)
        if path and not Path(path).read_bytes().startswith(b"#!"):
            return path
    missing(program)


def free_port() -> int:
    """Return a free port, which other test processes do not use.

    It is not one of the ports that systems use for outgoing connections, since such a
    connection could take it before the server does.
    """
    while True:
        port = next(_own_ports())
        if port in _kept:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port


@contextmanager
def kept_ports(count: int = 1) -> Iterator[Sequence[int]]:
    """Yield free ports for servers that do not listen on them all the time.

    `free_port` returns none of them meanwhile.
    """
    ports = tuple(free_port() for _ in range(count))
    _kept.update(ports)
    try:
        yield ports
    finally:
        _kept.difference_update(ports)


@cache
def _own_ports() -> Iterator[int]:
    """Yield the ports of a block that this process has reserved, over and over.

    The first port of the block is kept open, which reserves the block. The choice does
    not depend on the seed of `random`, since Hypothesis sets the same seed in all
    processes.
    """
    while True:
        first = _RANDOM.randrange(10_000, 32_700, _BLOCK)
        guard = socket.socket()
        try:
            guard.bind((HOST, first))
        except OSError:
            guard.close()
            continue
        atexit.register(guard.close)
        return cycle(range(first + 1, first + _BLOCK))


@dataclass(frozen=True)
class Server:
    """A running job server; its output is in the file `log`."""

    process: Process
    port: int
    log: Path
    host: str = HOST

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


@contextmanager
def gearmand(*options: str, port: int | None = None) -> Iterator[Server]:
    """Run the C server with these options, on a free port if none is given."""
    program = foreign("gearmand")
    port = port or free_port()
    listen = ["-L", HOST, "-p", str(port), "-l", "stderr"]
    command = [program, *listen, *options]
    with _running(partial(_execute, command, os.environ), port) as server:
        try:
            yield server
        finally:
            _end_at_last(server.process)


@contextmanager
def ours(
    *options: str,
    pure: bool | None = None,
    port: int | None = None,
    tls: ssl.SSLContext | None = None,
    path: Path | None = None,
    watchful: bool = False,
    fresh: bool = False,
) -> Iterator[Server]:
    """Run the server of the imported package, on a free port if none is given.

    It uses the compiled modules if this process does, unless `pure` says otherwise.
    With `tls` its first answer is requested by TLS, which `options` must turn on.
    `path` is a further folder of Python modules.
    A `watchful` server notices a stalled connection soon.
    A `fresh` server is a new process, which imports all modules; so is one with one of
    the last two. Another one is a fork, where the system allows that.
    """
    port = port or free_port()
    words = ["-L", HOST, "-p", str(port), *options]
    environment = package_environment(pure=pure, path=path)

    def fork(folder: str, output: int) -> Process:
        return forks.server(words, environment, folder, output)

    def execute(folder: str, output: int) -> Process:
        program = ["-c", _WATCHFUL] if watchful else ["-m", "gearman.server"]
        command = [sys.executable, "-P", *program, *words]
        return _execute(command, environment, folder, output)

    fresh = fresh or watchful or path is not None or not hasattr(os, "pidfd_open")
    with _running(execute if fresh else fork, port, tls) as server:
        yield server


def package_environment(
    *, pure: bool | None = None, path: Path | None = None
) -> dict[str, str]:
    """Return an environment whose Python imports the same `gearman` as this one.

    `path` is a further folder of Python modules.
    """
    environment = dict(os.environ)
    environment["PYTHONPATH"] = str(Path(gearman.__file__).parent.parent)
    if path is not None:
        environment["PYTHONPATH"] += f"{os.pathsep}{path}"
    if pure is not None:
        environment["GEARMAN_PURE_PYTHON"] = "1" if pure else ""
    return environment


def _execute(
    command: Sequence[str], environment: Mapping[str, str], folder: str, output: int
) -> Process:
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )


@contextmanager
def _running(
    start: Callable[[str, int], Process],
    port: int,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Server]:
    """Run a server, which `start` starts in a folder and with a file for its output."""
    with tempfile.TemporaryDirectory(prefix="gearman-server-") as folder:
        log = Path(folder, "stderr")
        with log.open("wb") as stderr:
            process = start(folder, stderr.fileno())
        server = Server(process, port, log)
        try:
            _wait_until_it_answers(server, tls)
            yield server
        finally:
            end(process)
            # pytest prints this if the test fails.
            print(log.read_text(errors="replace")[-20_000:])


def _wait_until_it_answers(server: Server, tls: ssl.SSLContext | None) -> None:
    """Return when this process answers, and not another one on its port."""
    deadline = time.monotonic() + DEADLINE
    while _listening_pid(server, tls) != server.process.pid:
        if _ended(server.process):
            raise AssertionError(f"the server ended:\n{server.log.read_text()}")
        if time.monotonic() > deadline:
            raise AssertionError(f"nobody listens:\n{server.log.read_text()}")


def _ended(process: Process) -> bool:
    """Wait a moment for the end of the process; return whether it has ended."""
    try:
        process.wait(0.002)
    except subprocess.TimeoutExpired:
        return False
    return True


def _listening_pid(server: Server, tls: ssl.SSLContext | None) -> int | None:
    try:
        with ExitStack() as stack:
            address = server.host, server.port
            peer = stack.enter_context(socket.create_connection(address, DEADLINE))
            if tls is not None:
                wrapped = tls.wrap_socket(peer, server_hostname=server.host)
                peer = stack.enter_context(wrapped)
            peer.sendall(b"getpid\r\n")
            words = peer.makefile("rb").readline().split()
    except OSError:
        return None
    return int(words[1]) if len(words) == 2 and words[1].isdigit() else None


def _end_at_last(process: Process) -> None:
    """End a process; kill it if it hangs, as gearmand sometimes does."""
    process.terminate()
    try:
        process.wait(DEADLINE / 4)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end(process: Process) -> None:
    """End the process by SIGTERM; after the deadline kill it, and fail."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"{process.args!r} ignored SIGTERM") from None


def stop(pid: int) -> None:
    """Stop a process by SIGSTOP; return when all its threads stand still."""
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    until(lambda: all(map(_stands_still, threads.iterdir())))


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A context in which a process stands still; after it, the process goes on."""
    stop(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _stands_still(thread: Path) -> bool:
    try:
        text = (thread / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        # It has ended.
        return True
    return text.rpartition(")")[2].split()[0] in "TtZX"


def until(answer: Callable[[], T]) -> T:
    """Call a function repeatedly, and return its first true result.

    It is called again after a millisecond at first, later after PAUSE seconds: it may
    cost much, and what this waits for needs the processor.
    """
    start = time.monotonic()
    while not (answered := answer()):
        waited = time.monotonic() - start
        assert waited < DEADLINE, "it did not become true in time"
        time.sleep(min(0.001 + waited / 20, PAUSE))
    return answered
