"""Packets of a worker for its job that are too large: the job fails."""

import logging
import re
from collections.abc import Iterator

import pytest

from gearman.server.settings.config import parse
from tests.server.net.test_large_packets import WAYS
from tests.server.net.test_listener import Running, run
from tests.servers import HOST
from tests.wire import Peer, packet

LIMIT = 10_000
LARGE = bytes(LIMIT)
KINDS = ["WORK_COMPLETE", "WORK_DATA", "WORK_WARNING", "WORK_EXCEPTION", "WORK_STATUS"]

pytestmark = pytest.mark.parametrize("engine", WAYS)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """The warnings that a server in this process has logged."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.addFilter(lambda record: record.levelno == logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("gearman.server")
    log.addHandler(handler)
    yield lines
    log.removeHandler(handler)


@pytest.fixture
def server(engine: bool) -> Iterator[Running]:
    words = ["@/dev/null", "-L", HOST, "-p", "0", f"--max-packet={LIMIT}"]
    with run(parse(words, {}), engine=engine) as server:
        yield server


def assigned(client: Peer, worker: Peer, command: str = "SUBMIT_JOB") -> bytes:
    """Submit a job, let the worker take it, and return its handle."""
    client.send(command, b"f", b"", b"work")
    (handle,) = client.expect("JOB_CREATED")
    worker.send("CAN_DO", b"f")
    worker.send("GRAB_JOB")
    assert worker.expect("JOB_ASSIGN")[0] == handle
    return handle


def nothing_is_left(peer: Peer) -> bool:
    peer.send("CAN_DO", b"f")
    return peer.request("GRAB_JOB").name == "NO_JOB"


@every_kind
def test_job_fails_and_the_worker_goes_on(
    server: Running, kind: str, warnings: list[str]
) -> None:
    with server.peer() as client, server.peer() as worker, server.peer() as other:
        worker.send("SET_CLIENT_ID", b"worker-7")
        handle = assigned(client, worker)
        worker.send(kind, handle, b"1", LARGE)
        assert client.expect("WORK_FAIL") == [handle]
        assert nothing_is_left(worker)
        assert nothing_is_left(other)
        handle = assigned(client, worker)
        worker.send("WORK_COMPLETE", handle, b"fits")
        assert client.expect("WORK_COMPLETE") == [handle, b"fits"]
    (line,) = warnings
    assert re.fullmatch(
        r"job H:.*:\d+ of f is given up: a packet of 100\d\d bytes for it is over the"
        r" limit of 10000 \(attempt 1, worker 127.0.0.1:\d+, client id worker-7\)",
        line,
    )


@every_kind
def test_client_that_wants_exceptions_gets_the_reason(
    server: Running, kind: str
) -> None:
    with server.peer() as client, server.peer() as worker:
        client.request("OPTION_REQ", b"exceptions")
        handle = assigned(client, worker)
        worker.send(kind, handle, b"1", LARGE)
        size = len(handle) + 3 + LIMIT
        text = f"a packet of {size} bytes for it is over the limit of {LIMIT}"
        assert client.expect("WORK_EXCEPTION") == [handle, text.encode()]


def test_failure_comes_before_the_result_has(server: Running) -> None:
    with server.peer() as client, server.peer() as worker:
        handle = assigned(client, worker)
        data = packet("WORK_COMPLETE", handle, LARGE)
        head = len(data) - len(LARGE)
        for start in range(head):
            worker.send_bytes(data[start : start + 1])
            if start < head - 1:
                assert client.fence() == []
        assert client.expect("WORK_FAIL") == [handle]
        worker.send_bytes(data[head:] + packet("ECHO_REQ", b"on"))
        assert worker.expect("ECHO_RES") == [b"on"]


def test_worker_may_be_lost_in_the_middle(server: Running) -> None:
    with server.peer() as client, server.peer() as worker:
        handle = assigned(client, worker)
        worker.send_bytes(packet("WORK_COMPLETE", handle, LARGE)[:-1])
        assert client.expect("WORK_FAIL") == [handle]
        worker.close()
        assert nothing_is_left(client)


def test_what_else_is_sent_for_the_job_is_passed_over(server: Running) -> None:
    with server.peer() as client, server.peer() as worker:
        handle = assigned(client, worker)
        worker.send("WORK_DATA", handle, LARGE)
        worker.send("WORK_DATA", handle, LARGE)
        worker.send("WORK_STATUS", handle, b"1", b"2")
        worker.send("WORK_WARNING", handle, b"small")
        worker.send("WORK_EXCEPTION", handle, b"small")
        worker.send("WORK_FAIL", handle)
        worker.send("WORK_COMPLETE", handle, b"small")
        assert worker.fence() == []
        assert client.expect("WORK_FAIL") == [handle]
        assert client.fence() == []


@every_kind
@pytest.mark.parametrize("handle", [b"", b"H:none:1", b"h" * 64, b"h" * 5000])
def test_unknown_job_is_answered(server: Running, kind: str, handle: bytes) -> None:
    with server.peer() as worker:
        worker.send(kind, handle, b"1", LARGE)
        assert worker.expect("ERROR")[0] == b"JOB_NOT_FOUND"
        assert worker.fence() == []


def test_job_of_another_worker_goes_on(server: Running) -> None:
    with server.peer() as client, server.peer() as worker, server.peer() as other:
        handle = assigned(client, worker)
        other.send("WORK_COMPLETE", handle, LARGE)
        assert other.expect("ERROR")[0] == b"JOB_NOT_FOUND"
        worker.send("WORK_COMPLETE", handle, b"fits")
        assert client.expect("WORK_COMPLETE") == [handle, b"fits"]


@pytest.mark.parametrize("size", [LIMIT + 1, 70 * 1024 * 1024])
def test_submission_is_refused_and_the_client_goes_on(
    server: Running, size: int
) -> None:
    with server.peer() as client:
        for _ in range(3):
            client.send("SUBMIT_JOB_BG", b"f", b"", bytes(size))
            assert client.expect("ERROR")[0] == b"ARGUMENT_TOO_LARGE"
        client.send("SUBMIT_JOB_BG", b"f", b"", b"fits")
        client.expect("JOB_CREATED")


def test_stalling_in_what_is_skipped_ends_the_connection(engine: bool) -> None:
    words = ["@/dev/null", "-L", HOST, "-p", "0", f"--max-packet={LIMIT}"]
    config = parse([*words, "--request-timeout=0.2"], {})
    with run(config, engine=engine) as server, server.peer() as peer:
        peer.send_bytes(packet("SUBMIT_JOB_BG", b"f", b"", LARGE)[:-1])
        assert peer.expect("ERROR")[0] == b"ARGUMENT_TOO_LARGE"
        assert peer.receive_end() == b""
