"""Results that a client fetches after it has submitted a job."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import gearman
from gearman.client import GearmanClient
from gearman.errors import (
    InvalidClientState,
    JobFailed,
    ProtocolError,
    ResultNotReady,
    ServerUnavailable,
    UnknownJob,
    UnsupportedByServer,
)
from tests import servers
from tests.client.stage import (
    Conversation,
    HandServer,
    meanwhile,
    unanswered,
    working,
)
from tests.servers import DEADLINE, Server, until


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    with servers.ours() as server:
        yield server


@pytest.fixture
def client(ours: Server) -> Iterator[GearmanClient]:
    with gearman.GearmanClient([ours.address]) as client:
        yield client


@pytest.fixture
def other(ours: Server) -> Iterator[GearmanClient]:
    with gearman.GearmanClient([ours.address]) as client:
        yield client


@pytest.fixture
def worker(ours: Server) -> Iterator[gearman.GearmanWorker]:
    with gearman.GearmanWorker([ours.address], report_exceptions=True) as worker:
        yield worker


def background(
    client: GearmanClient, task: str, data: Any = "x", **options: Any
) -> Any:
    return client.submit_job(
        task, data, background=True, poll_timeout=DEADLINE, keep=60, **options
    )


def test_a_result_is_fetched_after_the_worker_is_gone(
    client: GearmanClient, other: GearmanClient, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: job.data + "!")
    request = background(client, task)
    with working(worker):
        assert client.get_result(request, wait=DEADLINE) == "x!"
    worker.shutdown()
    assert client.get_result(request) == "x!"
    for handle in (request.job.handle, request.job.handle.encode()):
        assert other.get_result(handle, poll_timeout=DEADLINE) == "x!"


def test_a_result_is_decoded(client: GearmanClient, worker: Any, task: str) -> None:
    client.data_encoder = worker.data_encoder = gearman.JSONEncoder
    worker.register_task(task, lambda worker, job: {"sum": sum(job.data)})
    request = background(client, task, [1, 2])
    with working(worker):
        assert client.get_result(request, wait=DEADLINE) == {"sum": 3}
    assert client.get_result(request) == {"sum": 3}


@pytest.mark.parametrize("wait", [None, 0, 0.01])
def test_a_job_that_has_not_ended_is_no_result(
    wait: float | None, client: GearmanClient, task: str
) -> None:
    request = background(client, task)
    for _ in range(3):
        with pytest.raises(ResultNotReady) as told:
            client.get_result(request, wait=wait)
    assert (told.value.state, told.value.handle) == ("waiting", request.job.handle)
    handler = client._handler(client.connection_list[0])
    assert len(handler.handle_to_request_map) == bool(wait)


def test_waits_that_were_over_do_not_disturb_a_later_one(
    client: GearmanClient, worker: Any, task: str
) -> None:
    def tell(worker: Any, job: Any) -> str:
        worker.send_job_data(job, "part")
        worker.send_job_status(job, 1, 2)
        worker.send_job_warning(job, "careful")
        return "done"

    worker.register_task(task, tell)
    request = background(client, task)
    with pytest.raises(TimeoutError):
        client.get_result(request, wait=0.01)
    with working(worker):
        assert client.get_result(request, wait=DEADLINE) == "done"
    assert client.get_result(request, wait=DEADLINE) == "done"


def test_a_running_job_is_said_to_run(
    client: GearmanClient, worker: Any, task: str
) -> None:
    go_on: Future[str] = Future()
    worker.register_task(task, lambda worker, job: go_on.result(DEADLINE))
    request = background(client, task)
    with working(worker):

        def state() -> str:
            with pytest.raises(ResultNotReady) as told:
                client.get_result(request)
            return told.value.state

        servers.until(lambda: state() == "running")
        go_on.set_result("done")
        assert client.get_result(request, wait=DEADLINE) == "done"


def fail(worker: Any, job: Any) -> None:
    raise ValueError("broken")


@pytest.mark.parametrize("wait", [None, DEADLINE])
def test_the_exception_of_a_job_is_kept(
    wait: float | None, client: GearmanClient, worker: Any, task: str
) -> None:
    worker.register_task(task, fail)
    request = background(client, task)
    with working(worker):
        if wait is None:
            servers.until(lambda: not client.get_job_status(request).status["known"])
        with pytest.raises(JobFailed, match="builtins.ValueError: broken") as told:
            client.get_result(request, wait=wait)
    assert "broken" in told.value.exception


@pytest.mark.parametrize("options", [{}, {"retries": 1, "backoff": "fixed:0"}])
def test_a_failure_has_the_reason_of_the_server(
    options: dict[str, Any], client: GearmanClient, ours: Server, task: str
) -> None:
    with gearman.GearmanWorker([ours.address]) as worker:
        worker.register_task(task, fail)
        request = background(client, task, **options)
        with working(worker), pytest.raises(JobFailed) as told:
            client.get_result(request, wait=DEADLINE)
    assert told.value.reason == "its worker sent WORK_FAIL"


def test_a_job_on_the_dead_list_has_failed(
    client: GearmanClient, worker: Any, task: str
) -> None:
    worker.register_task(task, fail)
    request = client.submit_job(task, "", background=True, dead="list")
    with working(worker), pytest.raises(JobFailed, match="ValueError: broken"):
        client.get_result(request, wait=DEADLINE)


def test_a_result_that_is_not_kept_reaches_those_who_wait(
    client: GearmanClient, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: "done")
    request = client.submit_job(task, "", background=True)
    waiting = meanwhile(client.get_result, request, wait=DEADLINE)
    handler = client._handler(client.connection_list[0])
    servers.until(lambda: handler.handle_to_request_map)
    with working(worker):
        assert waiting.result(DEADLINE) == "done"
    with pytest.raises(UnknownJob):
        client.get_result(request)


def test_a_failure_that_is_not_kept_has_no_reason(
    client: GearmanClient, ours: Server, task: str
) -> None:
    request = client.submit_job(task, "", background=True)
    waiting = meanwhile(client.get_result, request, wait=DEADLINE)
    handler = client._handler(client.connection_list[0])
    servers.until(lambda: handler.handle_to_request_map)
    with gearman.GearmanWorker([ours.address]) as worker:
        worker.register_task(task, fail)
        with working(worker), pytest.raises(JobFailed) as told:
            waiting.result(DEADLINE)
    assert told.value.reason == ""


@pytest.mark.parametrize("wait", [None, 1.0])
def test_an_unknown_job_is_not_waited_for(
    wait: float | None, client: GearmanClient
) -> None:
    with pytest.raises(UnknownJob, match="H:nobody:1"):
        client.get_result("H:nobody:1", wait=wait)


def test_a_handle_must_be_one(client: GearmanClient) -> None:
    with pytest.raises(ProtocolError, match="no handle"):
        client.get_result("H:" + "x" * 64)


def test_several_servers_are_asked_for_a_handle(
    ours: Server, client: GearmanClient, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: "done")
    handle = background(client, task).job.handle
    with (
        servers.ours() as second,
        working(worker),
        gearman.GearmanClient([second.address, unanswered(), ours.address]) as asker,
    ):
        assert asker.get_result(handle, wait=DEADLINE) == "done"
        with pytest.raises(UnknownJob):
            asker.get_result("H:nobody:1")


def test_a_foreground_job_has_its_result_from_its_own_connection(
    client: GearmanClient, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: job.data)
    request = client.submit_job(task, "x", wait_until_complete=False)
    with pytest.raises(ResultNotReady):
        client.get_result(request, wait=0.01)
    with working(worker):
        assert client.get_result(request, wait=DEADLINE) == "x"
    assert client.get_result(request) == "x"


def test_a_foreground_job_that_failed_raises(
    client: GearmanClient, worker: Any, task: str
) -> None:
    worker.register_task(task, fail)
    with working(worker):
        request = client.submit_job(task, "x", poll_timeout=DEADLINE)
        with pytest.raises(JobFailed, match="ValueError: broken"):
            client.get_result(request)


def give_result(side: Conversation) -> None:
    """Answer a client that asks for the options, and then for the result of H:1."""
    side.expect("OPTION_REQ", "OPTION_REQ")
    side.send("OPTION_RES", b"exceptions")
    side.send("OPTION_RES", b"extensions")
    assert side.expect("GET_RESULT") == [b"H:1"]
    side.send("RESULT_RES", b"H:1", b"done", b"x")


def test_a_foreground_job_whose_connection_was_lost_is_asked_for() -> None:
    with (
        HandServer() as one,
        HandServer() as two,
        gearman.GearmanClient([one.address], consistent_hashing=True) as client,
    ):
        submission = meanwhile(client.submit_job, "f", "", wait_until_complete=False)
        side = one.accept()
        side.expect("OPTION_REQ", "SUBMIT_JOB")
        side.send("OPTION_RES", b"exceptions")
        side.send("JOB_CREATED", b"H:1")
        request = submission.result(DEADLINE)
        client.establish_connection(client.add_connection(two.address))
        two.accept()
        result = meanwhile(client.get_result, request, wait=DEADLINE)
        side.close()
        side = one.accept()
        give_result(side)
        assert result.result(DEADLINE) == "x"


def test_the_result_of_a_foreground_job_can_be_had_by_its_handle(
    client: GearmanClient, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: job.data)
    request = client.submit_job(task, "x", wait_until_complete=False)
    assert request.job.handle is not None
    with working(worker):
        # No second watcher: the request itself hears of the end.
        assert client.get_result(request.job.handle, wait=DEADLINE) == "x"
    assert request.result == "x"


def test_a_foreground_job_may_have_ended_before_its_handle_is_asked_for(
    client: GearmanClient, worker: Any, task: str
) -> None:
    request = client.submit_job(task, "x", wait_until_complete=False)
    assert request.job.handle is not None
    worker.register_task(task, lambda worker, job: job.data)
    with working(worker):
        admin = gearman.GearmanAdminClient([client.connection_list[0].get_address()])
        until(lambda: count(admin, task) == 0)
        admin.shutdown()
        assert client.get_result(request.job.handle) == "x"


def count(admin: gearman.GearmanAdminClient, task: str) -> int:
    """Return how many jobs of a task there are."""
    return sum(row["queued"] for row in admin.get_status() if row["task"] == task)


def test_a_request_must_have_been_submitted(client: GearmanClient, task: str) -> None:
    job = gearman.GearmanJob(None, None, task, "unique", "")
    with pytest.raises(InvalidClientState, match="not accepted"):
        client.get_result(gearman.GearmanJobRequest(job))


def test_a_refused_background_job_has_failed(client: GearmanClient, task: str) -> None:
    request = background(client, task, need_worker=True)
    with pytest.raises(JobFailed, match="QUEUE_ERROR"):
        client.get_result(request)


def test_without_a_server_there_is_no_result() -> None:
    with (
        gearman.GearmanClient([unanswered()]) as client,
        pytest.raises(ServerUnavailable),
    ):
        client.get_result("H:host:1")


def test_threads_wait_for_results_of_their_own(
    client: GearmanClient, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: job.data)
    requests = [background(client, task, f"{n}") for n in range(5)]
    waits = [meanwhile(client.get_result, each, wait=DEADLINE) for each in requests]
    with working(worker):
        assert [each.result(DEADLINE) for each in waits] == ["0", "1", "2", "3", "4"]


# Servers whose answers the test writes.

Asked = Callable[..., tuple["Future[Any]", Conversation]]


@pytest.fixture
def asked() -> Iterator[Asked]:
    """Ask a server for the result of H:1, which it is to be asked for."""
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:

        def ask(**options: Any) -> tuple["Future[Any]", Conversation]:
            result = meanwhile(client.get_result, "H:1", **options)
            side = server.accept()
            assert side.expect("OPTION_REQ") == [b"exceptions"]
            side.send("OPTION_RES", b"exceptions")
            assert side.expect("OPTION_REQ") == [b"extensions"]
            return result, side

        yield ask


def test_a_server_without_extensions_is_not_asked_for_results(asked: Asked) -> None:
    result, side = asked()
    side.send("ERROR", b"UNKNOWN_OPTION", b"no")
    with pytest.raises(UnsupportedByServer, match="results of jobs"):
        result.result(DEADLINE)


def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    with (
        HandServer() as server,
        gearman.GearmanClient([server.address]) as client,
        pytest.raises(ResultNotReady, match="no server has answered for the job H:1"),
    ):
        client.get_result("H:1", poll_timeout=0.01)


def test_an_answer_may_not_come_in_time() -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        first = meanwhile(client.get_result, "H:1")
        side = server.accept()
        give_result(side)
        assert first.result(DEADLINE) == "x"
        with pytest.raises(
            ResultNotReady, match="no server has answered for the job H:2"
        ):
            client.get_result("H:2", poll_timeout=0.01)


def test_a_job_may_end_before_it_is_watched(asked: Asked) -> None:
    result, side = asked(wait=DEADLINE)
    side.send("OPTION_RES", b"extensions")
    side.expect("GET_RESULT")
    side.send("RESULT_RES", b"H:1", b"running", b"")
    side.expect("WATCH_JOB", "GET_RESULT")
    side.send("ERROR", b"JOB_NOT_FOUND", b"There is no such job")
    side.send("RESULT_RES", b"H:1", b"unknown", b"")
    with pytest.raises(UnknownJob):
        result.result(DEADLINE)


def test_a_connection_may_be_lost_while_a_job_is_watched(asked: Asked) -> None:
    result, side = asked(wait=DEADLINE)
    side.send("OPTION_RES", b"extensions")
    side.expect("GET_RESULT")
    side.send("RESULT_RES", b"H:1", b"running", b"")
    side.expect("WATCH_JOB", "GET_RESULT")
    side.send("RESULT_RES", b"H:1", b"running", b"")
    side.close()
    with pytest.raises(ServerUnavailable):
        result.result(DEADLINE)


def test_another_server_does_not_keep_a_client_waiting_for_a_lost_one() -> None:
    with (
        HandServer() as one,
        HandServer() as two,
        gearman.GearmanClient([one.address, two.address]) as client,
    ):
        result = meanwhile(client.get_result, "H:1", wait=DEADLINE)
        first, second = one.accept(), two.accept()
        for side in (first, second):
            side.expect("OPTION_REQ", "OPTION_REQ")
            side.send("OPTION_RES", b"exceptions")
            side.send("OPTION_RES", b"extensions")
        first.expect("GET_RESULT")
        second.expect("GET_RESULT")
        second.send("RESULT_RES", b"H:1", b"unknown", b"")
        first.send("RESULT_RES", b"H:1", b"running", b"")
        first.expect("WATCH_JOB", "GET_RESULT")
        first.close()
        first = one.accept()
        first.expect("OPTION_REQ", "OPTION_REQ")
        first.send("OPTION_RES", b"exceptions")
        first.send("OPTION_RES", b"extensions")
        first.expect("GET_RESULT")
        first.send("RESULT_RES", b"H:1", b"done", b"found")
        assert result.result(DEADLINE) == "found"


def test_the_reason_of_a_failure_is_waited_for_until_it_is_stored(
    asked: Asked,
) -> None:
    result, side = asked(wait=DEADLINE)
    side.send("OPTION_RES", b"extensions")
    side.expect("GET_RESULT")
    side.send("RESULT_RES", b"H:1", b"running", b"")
    side.expect("WATCH_JOB", "GET_RESULT")
    side.send("RESULT_RES", b"H:1", b"running", b"")
    side.send("WORK_FAIL", b"H:1")
    side.expect("GET_RESULT")
    side.send("RESULT_RES", b"H:1", b"running", b"")
    side.expect("GET_RESULT")
    side.send("RESULT_RES", b"H:1", b"failed", b"it rained")
    with pytest.raises(JobFailed, match="it rained"):
        result.result(DEADLINE)


def test_a_result_outlives_the_server(tmp_path: Path, task: str) -> None:
    queue = "-q", "sqlite", "--sqlite-db", str(tmp_path / "db")
    with (
        servers.ours(*queue) as server,
        gearman.GearmanClient([server.address]) as client,
        gearman.GearmanWorker([server.address]) as worker,
    ):
        worker.register_task(task, lambda worker, job: job.data)
        request = background(client, task, "\0x")

        def kept() -> bool:
            # It is told when it is stored.
            with suppress(ResultNotReady):
                return bool(client.get_result(request) == "\0x")
            return False

        with working(worker):
            servers.until(kept)
    with (
        servers.ours(*queue) as server,
        gearman.GearmanClient([server.address]) as client,
    ):
        assert client.get_result(request.job.handle) == "\0x"


@pytest.mark.interop
def test_gearmand_has_no_results(
    ours: Server, client: GearmanClient, task: str
) -> None:
    with (
        servers.gearmand() as gearmand,
        gearman.GearmanClient([gearmand.address]) as alone,
        gearman.GearmanClient([gearmand.address, ours.address]) as mixed,
    ):
        request = alone.submit_job(task, "", background=True)
        with pytest.raises(UnsupportedByServer, match=gearmand.address):
            alone.get_result(request, wait=DEADLINE)
        with pytest.raises(UnsupportedByServer, match=gearmand.address):
            mixed.get_result("H:nobody:1")
        kept = background(client, task)
        with pytest.raises(ResultNotReady, match="waiting"):
            mixed.get_result(kept.job.handle)
