"""Perl's Gearman::Client and Gearman::Worker."""

import pytest

from tests import servers
from tests.interop.programs import PEERS, Program, perl, run, take_job, worker
from tests.servers import Server
from tests.wire import Peer


def call(server: Server, *words: str) -> str:
    """Return the result of a call of Perl's client."""
    script = str(PEERS / "calls.pl")
    return run(perl(), script, str(server.port), *words).rstrip("\n")


def client(server: Server, *words: str) -> list[str]:
    """Return the outcome of a Perl client's job."""
    script = str(PEERS / "client.pl")
    return run(perl(), script, str(server.port), *words).splitlines()


def named_worker(server: Server, *words: str) -> Program:
    return Program(perl(), str(PEERS / "worker.pl"), str(server.port), *words)


def test_a_task_returns_its_result(server: Server) -> None:
    with worker("perl", server, "upper"):
        assert call(server, "do", "upper", "abc") == "result ABC"


def test_a_failed_task_is_undefined(server: Server) -> None:
    with worker("perl", server, "fail"):
        assert call(server, "do", "fail", "abc") == "undefined"


def test_a_failed_task_is_tried_again_as_often_as_told(server: Server) -> None:
    with worker("perl", server, "fail") as running:
        assert call(server, "do", "fail", "abc", "retry_count", "2") == "undefined"
        assert [running.line() for _ in range(3)] == ["failing"] * 3


def test_a_task_sees_every_event_in_order(server: Server) -> None:
    with worker("perl", server, "events"):
        created, *events = client(server, "normal", "events", "")
    assert created.startswith("created H:")
    assert events == [
        "data one",
        "data t\0o",
        "warning careful",
        "status 1/2",
        "complete end",
    ]


def test_an_exception_comes_with_its_text(server: Server) -> None:
    with worker("perl", server, "raise"):
        events = client(server, "normal", "raise", "", "", "exceptions")
        assert events[1:] == ["exception boom"]
        assert call(server, "do", "upper", "abc") == "result ABC"


def test_an_exception_fails_a_client_that_did_not_ask_for_exceptions() -> None:
    # C gearmand's NUL after the handle makes this client die.
    with servers.ours() as server, worker("perl", server, "raise"):
        assert client(server, "normal", "raise", "")[1:] == ["fail"]


def test_tasks_of_a_set_that_share_a_unique_all_complete(server: Server) -> None:
    with worker("perl", server, "upper"):
        assert call(server, "set") in ("5 ONE ONE", "5 ONE TWO")


@pytest.mark.parametrize("priority", ["high", "normal", "low"])
def test_a_background_task_is_known_by_its_handle(
    server: Server, priority: str
) -> None:
    options = ("priority", priority, "uniq", "key")
    address, handle = call(server, "background", "hold", "abc", *options).split("//")
    assert address == server.address
    assert call(server, "status", handle) == "1 0 0 0"
    with worker("perl", server, "hold") as running:
        assert running.line() == f"holding {handle}"
        assert call(server, "status", handle) == "1 1 3 10"


def test_a_background_task_keeps_its_unique(server: Server) -> None:
    handle = call(server, "background", "upper", "abc", "uniq", "key").split("//")[1]
    with Peer(server.port) as peer:
        peer.send("CAN_DO", b"upper")
        assert take_job(peer) == [handle.encode(), b"upper", b"key", b"abc"]


def test_the_status_of_the_server_is_read(server: Server) -> None:
    call(server, "background", "upper", "abc")
    assert call(server, "servers") == "upper 1 0 0"


def test_a_workers_id_is_listed(server: Server) -> None:
    with named_worker(server, "perl-worker"), Peer(server.port) as peer:
        assert call(server, "do", "upper", "abc") == "result ABC"
        (line,) = [w for w in peer.ask_list(b"workers") if b"upper" in w]
    assert line.split()[2:4] == [b"perl-worker", b":"]


def test_a_job_that_exceeds_its_workers_timeout_goes_to_another(server: Server) -> None:
    with Peer(server.port) as peer, named_worker(server, "slow", "1000") as slow:
        peer.send("SUBMIT_JOB", b"hold", b"", b"abc")
        handle = peer.expect("JOB_CREATED")[0]
        assert slow.line() == f"holding {handle.decode()}"
        with worker("perl", server, "hold") as other:
            assert other.line() == f"holding {handle.decode()}"
            other.tell("go")
            assert peer.expect("WORK_STATUS") == [handle, b"3", b"10"]
            assert peer.expect("WORK_STATUS") == [handle, b"3", b"10"]
            assert peer.expect("WORK_COMPLETE") == [handle, b"held abc"]
