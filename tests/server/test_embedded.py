"""Servers inside of this process, and in child processes of it."""

import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import gearman
from gearman.errors import ConfigurationError, GearmanError, StartupError
from gearman.framing import BUILD
from gearman.queue import Queue, StoredJob
from gearman.server import embedded
from gearman.server.embedded import processes, settings, threads
from gearman.server.net.listener import Listener
from gearman.server.settings.config import Config
from tests import servers
from tests.servers import DEADLINE, free_port, package_environment, until

PLACES = pytest.mark.parametrize("process", [False, True], ids=["thread", "process"])


def asked(address: str, line: bytes) -> bytes:
    """Return the first line of a server's answer to an admin command."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), DEADLINE) as peer:
        peer.sendall(line + b"\r\n")
        return peer.makefile("rb").readline()


def pid(address: str) -> int:
    return int(asked(address, b"getpid").split()[1])


@contextmanager
def closing(client: gearman.GearmanClient) -> Iterator[gearman.GearmanClient]:
    """Close a client at the end."""
    yield client
    client.shutdown()


def done(address: str, function: str) -> bytes:
    """Do one job of a function; return its workload."""
    workloads: list[bytes] = []

    def run(worker: object, job: gearman.GearmanJob) -> str:
        workloads.append(bytes(job.data))
        return ""

    worker = gearman.GearmanWorker([address])
    worker.register_task(function, run)
    worker.after_poll = lambda any_activity: not workloads  # type: ignore[method-assign]
    worker.work(poll_timeout=DEADLINE)
    worker.shutdown()
    return workloads[0]


def is_refused(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0


@PLACES
def test_server_does_jobs_and_is_gone_at_the_end(process: bool) -> None:
    before = set(threading.enumerate())
    with embedded.server(process=process) as address:
        with closing(gearman.GearmanClient([address])) as client:
            request = client.submit_job("reverse", "abc", background=True)
        assert request.state == gearman.JOB_CREATED
        assert done(address, "reverse") == b"abc"
        assert (pid(address) == os.getpid()) is not process
    assert is_refused(address)
    # Those of other tests may end meanwhile.
    assert set(threading.enumerate()) <= before


@PLACES
def test_several_servers_run_at_once_and_after_each_other(process: bool) -> None:
    with (
        embedded.server(process=process) as one,
        embedded.server(process=process) as two,
    ):
        assert one != two
    for _ in range(2):
        with embedded.server(process=process) as address:
            assert asked(address, b"version").startswith(b"OK ")


def test_server_in_a_process_has_the_build_of_this_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with embedded.server("-vv", f"--log-file={log}", process=True):
        assert f"{BUILD} build" in log.read_text()


def test_nothing_of_this_process_changes() -> None:
    log = logging.getLogger("gearman.server")

    def state() -> list[object]:
        return [
            *(signal.getsignal(number) for number in signal.valid_signals()),
            *(log.level, log.propagate, log.handlers[:], logging.root.handlers[:]),
            *(gc.get_threshold(), gc.isenabled(), gc.get_freeze_count()),
            *(dict(os.environ), os.getcwd()),
        ]

    before = state()
    with embedded.server():
        assert state() == before
    assert state() == before


@PLACES
def test_options_are_those_of_the_command_line(process: bool) -> None:
    with embedded.server("--max-jobs=1", process=process) as address:
        jobs = [{"task": "f", "data": text} for text in "ab"]
        with closing(gearman.GearmanClient([address])) as client:
            accepted, refused = client.submit_multiple_jobs(
                jobs, background=True, poll_timeout=DEADLINE
            )
        assert accepted.state == gearman.JOB_CREATED
        assert refused.state == gearman.JOB_FAILED


@PLACES
def test_jobs_in_a_store_are_there_the_next_time(process: bool, tmp_path: Path) -> None:
    options = ("--queue-type=sqlite", f"--sqlite-db={tmp_path / 'jobs'}")
    for waiting in (b"f\t1\t0\t0\n", b"f\t2\t0\t0\n"):
        with embedded.server(*options, process=process) as address:
            with closing(gearman.GearmanClient([address])) as client:
                client.submit_job("f", "", background=True)
            assert asked(address, b"status") == waiting


@PLACES
def test_unix_socket_is_removed(process: bool, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    for _ in range(2):
        with embedded.server(f"--listen=unix:{path}", process=process) as address:
            assert address == f"unix:{path}"
            assert path.is_socket()
        assert not path.exists()


@PLACES
def test_other_protocols_have_their_ports(process: bool) -> None:
    port = free_port()
    options = ("--protocol=http", f"--http-port={port}")
    with embedded.server(*options, process=process):
        answer = asked(f"127.0.0.1:{port}", b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        assert answer.startswith(b"HTTP/1.1 ")


@PLACES
def test_shutdown_by_a_request_ends_the_server_early(process: bool) -> None:
    with embedded.server("--allow-shutdown", process=process) as address:
        assert asked(address, b"shutdown") == b"OK\r\n"
        until(lambda: is_refused(address))


def test_server_in_a_thread_that_has_ended_can_be_stopped() -> None:
    before = set(threading.enumerate())
    with embedded.server("--allow-shutdown") as address:
        asked(address, b"shutdown")
        until(lambda: set(threading.enumerate()) <= before)


CLUSTER = ["-q", "postgres", "--cluster=a", "--cluster-address=a:1", "--port=4730"]


@PLACES
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--max-jobs=many"], "--max-jobs"),
        (["--queue-type=none-such"], "none-such"),
        (["--help"], "leave out --help and --version"),
        (["--version"], "leave out --help and --version"),
        (["--daemon"], "can't have the option --daemon"),
        (["--check-args"], "can't have the option --check-args"),
        (CLUSTER, "can't have the option --cluster"),
        (["--ssl"], "--ssl needs the certificate"),
        ([4730], "an option must be a str, not 4730"),
    ],
)
def test_wrong_option_is_told(
    options: list[str], text: str, process: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(ConfigurationError, match=text),
        embedded.server(*options, process=process),
    ):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "option",
    [
        *(
            "--log-file=none",
            "--log-format=json",
            "--verbose=INFO",
            "--syslog",
            "--traces",
        ),
        *("--traces", "--pid-file=/pid", "--user=nobody", "--coredump"),
        "--file-descriptors=99",
    ],
)
def test_server_in_a_thread_leaves_the_process_alone(option: str) -> None:
    name = option.partition("=")[0]
    with (
        pytest.raises(ConfigurationError, match=f"{name}: leave it out, or run the"),
        embedded.server(option),
    ):
        pass


def test_all_settings_of_a_process_have_the_names_of_their_options() -> None:
    known = {*settings._NEVER, *settings._OF_A_PROCESS}
    assert known <= {*Config.__dataclass_fields__}


@PLACES
def test_address_in_use_is_told(process: bool) -> None:
    with (
        embedded.server() as address,
        pytest.raises(StartupError, match="the address is in use"),
        embedded.server(f"--listen={address}", process=process),
    ):
        pass


def descriptors() -> set[tuple[str, str]]:
    """Return the numbers of the open descriptors, with what each of them is."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        # Another thread may close it meanwhile.
        with suppress(FileNotFoundError):
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
    return found


@PLACES
def test_store_that_cannot_be_opened_is_told(process: bool, tmp_path: Path) -> None:
    options = ("--queue-type=sqlite", f"--sqlite-db={tmp_path / 'no' / 'jobs'}")
    # What other tests have left is not closed meanwhile.
    gc.collect()
    before = descriptors()
    with (
        pytest.raises(GearmanError, match="jobs"),
        embedded.server(*options, process=process),
    ):
        pass
    assert descriptors() <= before


def test_store_that_cannot_be_read_is_told_and_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed = []

    class Broken(Queue):
        def __init__(self) -> None:
            pass

        def replay(self) -> Iterator[StoredJob]:
            raise StartupError("stored jobs cannot be read")

        def commit(self, *changes) -> None:
            raise NotImplementedError

        def close(self) -> None:
            closed.append(self)

    monkeypatch.setattr(threads, "open_queue", lambda config: Broken())
    with (
        pytest.raises(StartupError, match="cannot be read"),
        embedded.server(),
    ):
        pass
    assert len(closed) == 1


def test_failure_before_the_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise StartupError("no replay")

    monkeypatch.setattr(Listener, "replay", fail)
    with pytest.raises(StartupError, match="no replay"), embedded.server():
        pass


def test_failure_in_the_thread_before_it_is_ready_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: object) -> None:
        raise StartupError("no engine")

    monkeypatch.setattr(Listener, "_start_engine", fail)
    with pytest.raises(StartupError, match="no engine"), embedded.server():
        pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_failure_in_the_thread_later_is_reported_by_the_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Bug(Exception):
        pass

    async def fail(self: object) -> None:
        raise Bug

    seen: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append(args[0]))
    monkeypatch.setattr(Listener, "_close", fail)
    with embedded.server():
        pass
    assert seen == [Bug]


def test_process_that_dies_before_it_is_ready_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with (
        pytest.raises(StartupError, match="ended before it was ready"),
        embedded.server(process=True),
    ):
        pass


@PLACES
def test_systemd_hears_nothing_of_the_server(
    process: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        with embedded.server(process=process):
            pass
        with pytest.raises(BlockingIOError):
            manager.recv(100, socket.MSG_DONTWAIT)


def test_process_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.1)
    with embedded.server(process=True) as address:
        number = pid(address)
        servers.stop(number)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_process_ends_with_the_one_that_started_it() -> None:
    program = (
        "import time\n"
        "from gearman.server import embedded\n"
        "with embedded.server(process=True) as address:\n"
        "    print(address, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program],
        env=package_environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        address = parent.stdout.readline().strip()
        parent.kill()
    until(lambda: is_refused(address))
