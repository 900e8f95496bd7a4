"""Several threads use one client, and each gets its own answers."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from threading import Barrier, Event
from typing import Any

import pytest

import gearman
from gearman.errors import ExceededConnectionAttempts, ServerUnavailable
from tests import servers
from tests.client.stage import Conversation, HandServer, meanwhile, working
from tests.servers import DEADLINE, Server, until

THREADS = 6


@pytest.fixture
def echoes(server: Server, task: str) -> Iterator[str]:
    """The name of a task of a running worker, whose result is the workload."""
    with gearman.GearmanWorker([server.address]) as worker:
        worker.register_task(task, lambda worker, job: job.data)
        with working(worker):
            yield task


def polling(
    client: Any, server: HandServer, task: str
) -> tuple[Future[Any], Conversation]:
    """Let a thread wait for a job H:1; return its future and the server's side."""
    future = meanwhile(client.submit_job, task, "", poll_timeout=DEADLINE)
    side = server.accept()
    side.expect("OPTION_REQ", "SUBMIT_JOB")
    side.send("JOB_CREATED", b"H:1")
    until(lambda: client._turns.polling)
    return future, side


def following(client: Any, side: Conversation, task: str) -> Future[Any]:
    """Let a thread wait for a job H:2, while another thread polls."""
    future = meanwhile(client.submit_job, task, "", poll_timeout=DEADLINE)
    side.expect("SUBMIT_JOB")
    side.send("JOB_CREATED", b"H:2")
    until(lambda: client._turns.followed)
    return future


def in_threads(call: Any, count: int = THREADS) -> list[Any]:
    """Call a function in several threads at once, with the number of the thread."""
    barrier = Barrier(count)

    def run(number: int) -> Any:
        barrier.wait(DEADLINE)
        return call(number)

    futures = [meanwhile(run, number) for number in range(count)]
    return [future.result(DEADLINE) for future in futures]


def test_each_thread_gets_its_own_results(client: Any, echoes: str) -> None:
    def submit(number: int) -> list[str]:
        data = [f"{number} {turn}" for turn in range(40)]
        jobs = (client.submit_job(echoes, d, poll_timeout=DEADLINE) for d in data)
        return [str(job.result) for job in jobs]

    for number, results in enumerate(in_threads(submit)):
        assert results == [f"{number} {turn}" for turn in range(40)]


def test_each_thread_has_its_jobs_accepted(client: Any, admin: Any, task: str) -> None:
    def submit(number: int) -> set[str]:
        one_by_one = [
            client.submit_job(task, "", background=True, poll_timeout=DEADLINE)
            for _ in range(100)
        ]
        jobs = [{"task": task, "data": ""}] * 3000
        many = client.submit_multiple_jobs(jobs, background=True, poll_timeout=DEADLINE)
        assert {r.connection_attempts for r in (*one_by_one, *many)} == {1}
        return {request.job.handle for request in (*one_by_one, *many)}

    handles = in_threads(submit)
    assert len(set.union(*handles)) == THREADS * 3100
    (row,) = [row for row in admin.get_status() if row["task"] == task]
    assert row["queued"] == THREADS * 3100


def test_large_workloads_of_several_threads_arrive(client: Any, echoes: str) -> None:
    def submit(number: int) -> bool:
        data = bytes([number]) * 3_000_000
        request = client.submit_job(echoes, data, poll_timeout=DEADLINE)
        return bool(request.result == data)

    assert all(in_threads(submit))


def test_a_thread_that_waits_for_a_job_does_not_hold_up_others(
    client: Any, server: Server, echoes: str
) -> None:
    waits = f"{echoes}-waits"
    first = meanwhile(client.submit_job, waits, "first", poll_timeout=DEADLINE)
    until(lambda: client.handler_to_connection_map and client._turns.polling)
    assert client.submit_job(echoes, "second", poll_timeout=DEADLINE).result == "second"
    assert client.submit_job(waits, "", poll_timeout=0.01).timed_out
    request = client.submit_job(waits, "third", background=True)
    assert client.get_job_status(request, poll_timeout=DEADLINE).status["known"]
    assert client.get_job_status(request.job.handle, DEADLINE).status["known"]
    assert not first.done()
    with gearman.GearmanWorker([server.address]) as worker:
        worker.register_task(waits, lambda worker, job: job.data)
        with working(worker):
            assert first.result(DEADLINE).result == "first"


def test_another_thread_polls_when_the_one_that_did_has_what_it_wants(
    task: str,
) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        first, side = polling(client, server, task)
        second = following(client, side, task)
        side.send("WORK_COMPLETE", b"H:1", b"one")
        assert first.result(DEADLINE).result == "one"
        side.send("WORK_COMPLETE", b"H:2", b"two")
        assert second.result(DEADLINE).result == "two"


def test_a_thread_may_open_a_connection_while_another_polls(
    server: Server, echoes: str
) -> None:
    with (
        servers.ours() as other,
        gearman.GearmanClient([server.address]) as client,
        gearman.GearmanWorker([other.address]) as worker,
    ):
        waits = meanwhile(client.submit_job, f"{echoes}-waits", "", poll_timeout=1000)
        until(lambda: client.handler_to_connection_map and client._turns.polling)
        client.add_connection(other.address)
        worker.register_task(echoes, lambda worker, job: job.data)
        with working(worker):
            for number in range(20):
                request = client.submit_job(echoes, str(number), poll_timeout=DEADLINE)
                assert request.result == str(number)
        assert all(connection.connected for connection in client.connection_list)
        client.close()
        assert isinstance(waits.exception(DEADLINE), ServerUnavailable)


def test_all_threads_are_told_that_the_connection_is_lost(task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        first, side = polling(client, server, task)
        second = meanwhile(client.submit_job, task, "", poll_timeout=DEADLINE)
        side.expect("SUBMIT_JOB")
        until(lambda: client._turns.followed)
        side.close()
        assert isinstance(first.exception(DEADLINE), ServerUnavailable)
        lost = (ExceededConnectionAttempts, ServerUnavailable)
        assert isinstance(second.exception(DEADLINE), lost)


def test_a_result_that_cannot_be_decoded_is_no_matter_of_another_thread(
    task: str,
) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        client.data_encoder = gearman.JSONEncoder
        first, side = polling(client, server, task)
        second = following(client, side, task)
        side.send("WORK_COMPLETE", b"H:2", b"no JSON")
        failed = second.result(DEADLINE)
        assert failed.state == gearman.JOB_FAILED
        assert failed.exception.startswith("JSONDecodeError: Expecting value")
        side.send("WORK_COMPLETE", b"H:1", b"1")
        assert first.result(DEADLINE).result == 1


def test_an_admin_client_asks_for_one_thread_after_the_other(
    admin: Any, server: Server
) -> None:
    def ask(number: int) -> bool:
        for _ in range(30):
            assert admin.ping_server() < DEADLINE
            assert admin.get_pid() == f"OK {server.process.pid}"
            assert isinstance(admin.get_status(), tuple)
        return True

    assert all(in_threads(ask))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent(
    client: Any, task: str
) -> None:
    waits = meanwhile(client.submit_job, f"{task}-waits", "", poll_timeout=1000)
    until(lambda: client.handler_to_connection_map and client._turns.polling)
    child = os.fork()
    if not child:
        accepted = client.submit_job(task, "", background=True, poll_timeout=DEADLINE)
        os._exit(not accepted.complete)
    _, status = os.waitpid(child, 0)
    assert status == 0
    client.close()
    assert isinstance(waits.exception(DEADLINE), ServerUnavailable)


def test_a_client_of_the_only_thread_needs_no_descriptor_to_be_woken_by(
    client: Any, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.blocking.sharing.active_count", lambda: 1)
    client.submit_job(task, "", poll_timeout=0.01)
    assert client._wakeup is None


def test_a_closed_client_leaves_no_descriptor(client: Any, task: str) -> None:
    other = threading.Thread(target=(ended := Event()).wait, args=(DEADLINE,))
    other.start()
    client.submit_job(task, "", poll_timeout=0.01)
    assert client._wakeup is not None
    client.close()
    assert client._wakeup is None
    assert client.submit_job(task, "", background=True).complete
    ended.set()
    other.join()
