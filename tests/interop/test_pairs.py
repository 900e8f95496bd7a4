"""Clients and workers of different languages understand each other."""

import pytest

from tests.interop.programs import PRIORITIES, Outcome, submit, worker
from tests.servers import Server, until
from tests.wire import Peer

KINDS = ("c", "php", "perl")

pytestmark = [
    pytest.mark.parametrize("client_kind", KINDS),
    pytest.mark.parametrize("worker_kind", KINDS),
]


def test_a_client_of_each_priority_gets_its_result(
    server: Server, client_kind: str, worker_kind: str
) -> None:
    with worker(worker_kind, server, "upper") as running:
        for priority in PRIORITIES:
            with submit(client_kind, server, "upper", "abc", priority=priority) as job:
                outcome = job.outcome()
                assert (outcome.result, outcome.failed) == ("ABC", False)
            assert running.line() == "did abc"


def test_background_jobs_of_each_priority_are_done_in_its_order(
    server: Server, client_kind: str, worker_kind: str
) -> None:
    for priority in ("low", "normal", "high"):
        with submit(
            client_kind, server, "upper", priority, priority=priority, background=True
        ) as job:
            assert job.outcome().handle
    with worker(worker_kind, server, "upper") as running:
        done = [running.line() for _ in PRIORITIES]
    assert done == ["did high", "did normal", "did low"]


def test_jobs_with_one_unique_are_one_job(
    server: Server, client_kind: str, worker_kind: str
) -> None:
    with Peer(server.port) as first, worker(worker_kind, server, "hold") as running:
        first.send("SUBMIT_JOB", b"hold", b"key", b"first")
        handle = first.expect("JOB_CREATED")[0]
        assert running.line().startswith("holding")
        with submit(client_kind, server, "hold", "second", unique="key") as second:
            _wait_for_clients(server, b"key", b"2")
            running.tell("go")
            assert second.outcome() == Outcome(handle.decode(), "held first")
        _skip_status(first, worker_kind)
        assert first.expect("WORK_COMPLETE") == [handle, b"held first"]


def test_a_failing_job_fails_at_its_client(
    server: Server, client_kind: str, worker_kind: str
) -> None:
    with (
        worker(worker_kind, server, "fail") as running,
        submit(client_kind, server, "fail", "abc") as job,
    ):
        assert running.line() == "failing"
        outcome = job.outcome()
        assert (outcome.result, outcome.failed) == ("", True)


def test_a_killed_workers_job_is_finished_by_another(
    server: Server, client_kind: str, worker_kind: str
) -> None:
    with submit(client_kind, server, "hold", "abc") as job:
        with worker(worker_kind, server, "hold") as first:
            assert first.line().startswith("holding")
        with worker(worker_kind, server, "hold") as second:
            assert second.line().startswith("holding")
            second.tell("go")
            outcome = job.outcome()
    assert (outcome.result, outcome.failed) == ("held abc", False)


def _wait_for_clients(server: Server, unique: bytes, count: bytes) -> None:
    with Peer(server.port) as peer:
        until(lambda: peer.request("GET_STATUS_UNIQUE", unique).arguments[-1] == count)


def _skip_status(client: Peer, worker_kind: str) -> None:
    if worker_kind != "c":
        assert client.expect("WORK_STATUS")[1:] == [b"3", b"10"]
