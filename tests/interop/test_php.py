"""PHP's extension: its client, its worker, and both together."""

import json
from typing import Any

import pytest

from tests.interop.programs import PEERS, Program, php, run, take_job, worker
from tests.servers import Server
from tests.wire import Peer

SCRIPT = str(PEERS / "calls.php")


def call(server: Server, *words: str) -> Any:
    """Return the result of a call of PHP's client."""
    return json.loads(run(php(), SCRIPT, str(server.port), *words))


def client(server: Server, *words: str) -> list[str]:
    """Return the outcome of a PHP client's job."""
    script = str(PEERS / "client.php")
    return run(php(), script, str(server.port), *words).splitlines()


def named_worker(server: Server, *words: str) -> Program:
    return Program(php(), str(PEERS / "worker.php"), str(server.port), *words)


@pytest.mark.parametrize("method", ["doNormal", "doHigh", "doLow"])
def test_a_foreground_method_returns_the_result(server: Server, method: str) -> None:
    with worker("php", server, "upper"):
        assert call(server, method, "upper", "abc") == "ABC"


@pytest.mark.parametrize(
    "method", ["doBackground", "doHighBackground", "doLowBackground"]
)
def test_a_background_method_returns_the_handle(server: Server, method: str) -> None:
    with Peer(server.port) as peer:
        handle = call(server, method, "upper", "abc", "key")
        peer.send("CAN_DO", b"upper")
        assert take_job(peer) == [handle.encode(), b"upper", b"key", b"abc"]


def test_a_waiting_client_gets_data_and_result_together(server: Server) -> None:
    with worker("php", server, "events"):
        assert call(server, "doNormal", "events", "x") == "onet\0oend"


def test_tasks_see_every_event_in_order(server: Server) -> None:
    with worker("php", server, "events"):
        created, *events = client(server, "normal", "events", "x")
    assert created.startswith("created H:")
    assert events == [
        "data one",
        "data t\0o",
        "warning careful",
        "status 1/2",
        "complete end",
    ]


def test_a_failed_job_is_told_apart(server: Server) -> None:
    with worker("php", server, "fail") as running:
        assert call(server, "doNormal", "fail", "x") == "the job failed"
        assert client(server, "normal", "fail", "x")[1:] == ["fail"]
        assert [running.line(), running.line()] == ["failing", "failing"]


def test_an_exception_comes_with_its_text_and_the_worker_lives_on(
    server: Server,
) -> None:
    with worker("php", server, "raise"):
        events = client(server, "normal", "raise", "x", "", "exceptions")
        assert events[1:] == ["exception boom"]
        assert call(server, "doNormal", "upper", "abc") == "ABC"


def test_many_tasks_of_all_priorities_run_together(server: Server) -> None:
    with worker("php", server, "upper"), worker("php", server, "upper"):
        results = call(server, "many")
    assert len(results) == 9
    assert all(unique.upper() == result for unique, result in results.items())


def test_the_status_of_a_job_is_known_by_handle_and_by_unique(server: Server) -> None:
    assert call(server, "jobStatus", "H:nobody:1") == [False, False, 0, 0]
    handle = call(server, "doBackground", "hold", "abc", "key")
    assert call(server, "jobStatus", handle) == [True, False, 0, 0]
    with worker("php", server, "hold") as running:
        assert running.line() == f"holding {handle}"
        assert call(server, "jobStatus", handle) == [True, True, 3, 10]
        assert call(server, "jobStatusByUniqueKey", "key") == [True, True, 3, 10]


def test_the_server_answers_a_ping(server: Server) -> None:
    assert call(server, "ping") is True


def test_a_worker_learns_the_unique(server: Server) -> None:
    with worker("php", server, "unique"):
        assert call(server, "doNormal", "unique", "x", "the key") == "the key"


def test_a_worker_gets_a_large_workload_whole(server: Server) -> None:
    size = 3 * 1024 * 1024
    with worker("php", server, "size"), Peer(server.port) as peer:
        peer.send("SUBMIT_JOB", b"size", b"", bytes(size))
        handle = peer.expect("JOB_CREATED")[0]
        assert peer.expect("WORK_COMPLETE") == [handle, b"%d" % size]


def test_a_workers_id_is_listed(server: Server) -> None:
    with named_worker(server, "php-worker") as running, Peer(server.port) as peer:
        assert call(server, "doNormal", "upper", "abc") == "ABC"
        assert running.line() == "did abc"
        (line,) = [w for w in peer.ask_list(b"workers") if b"upper" in w]
    assert line.split()[2:4] == [b"php-worker", b":"]


def test_a_job_that_exceeds_its_workers_timeout_goes_to_another(server: Server) -> None:
    # Long enough for the other worker to sleep by then: gearmand's timer expires in
    # another thread than the one that registers it.
    with Peer(server.port) as peer, named_worker(server, "slow", "3000") as slow:
        peer.send("SUBMIT_JOB", b"hold", b"", b"abc")
        handle = peer.expect("JOB_CREATED")[0]
        assert slow.line() == f"holding {handle.decode()}"
        with worker("php", server, "hold") as other:
            assert other.line() == f"holding {handle.decode()}"
            other.tell("go")
            assert peer.expect("WORK_STATUS") == [handle, b"3", b"10"]
            assert peer.expect("WORK_STATUS") == [handle, b"3", b"10"]
            assert peer.expect("WORK_COMPLETE") == [handle, b"held abc"]
