"""Workers that give a job back for later, and jobs that nobody wants any more."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest

import gearman
from gearman.client import GearmanClient
from gearman.errors import JobRetry, UnsupportedByServer
from tests import servers
from tests.client.stage import Conversation, HandServer, meanwhile, working
from tests.servers import DEADLINE, Server


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    with servers.ours() as server:
        yield server


@pytest.fixture
def client(ours: Server) -> Iterator[GearmanClient]:
    with gearman.GearmanClient([ours.address]) as client:
        yield client


@pytest.fixture
def worker(ours: Server) -> Iterator[gearman.GearmanWorker]:
    with gearman.GearmanWorker([ours.address], report_exceptions=True) as worker:
        yield worker


# Giving a job back.


@pytest.mark.parametrize("raised", [False, True])
def test_a_job_is_given_back_and_comes_again(
    raised: bool, client: Any, worker: Any, task: str
) -> None:
    seen: list[float] = []

    def run(worker: Any, job: Any) -> str:
        seen.append(time.monotonic())
        if len(seen) == 3:
            return "done"
        if raised:
            raise JobRetry(0.1, "later", counts=False)
        worker.send_job_retry(job, delay=0.1, reason="later", counts=False)
        return "not sent"

    worker.register_task(task, run)
    with working(worker):
        request = client.submit_job(task, "", poll_timeout=DEADLINE)
    assert request.result == "done"
    assert all(later - before >= 0.1 for before, later in pairwise(seen))


@pytest.mark.parametrize("retries", [0, 2])
def test_an_attempt_that_counts_may_be_the_last_one(
    retries: int, client: Any, worker: Any, task: str
) -> None:
    attempts: list[Any] = []

    def run(worker: Any, job: Any) -> None:
        attempts.append(job)
        raise JobRetry(reason="it rains")

    worker.register_task(task, run)
    with working(worker):
        request = client.submit_job(task, "", poll_timeout=DEADLINE, retries=retries)
    assert request.state == gearman.JOB_FAILED
    assert len(attempts) == retries + 1


def test_the_reason_is_kept_with_a_dead_job(
    client: Any, worker: Any, task: str
) -> None:
    worker.register_task(
        task, lambda worker, job: worker.send_job_retry(job, reason=b"it rains")
    )
    with working(worker):
        request = client.submit_job(task, "", background=True, dead="list")
        with pytest.raises(gearman.errors.JobFailed, match="gave it back: it rains"):
            client.get_result(request, wait=DEADLINE)


@pytest.mark.parametrize("end", ["exception", "failure", "complete"])
def test_nothing_is_sent_after_a_job_was_given_back(
    end: str, client: Any, worker: Any, task: str
) -> None:
    attempts: list[Any] = []

    def run(worker: Any, job: Any) -> str:
        attempts.append(job)
        if len(attempts) > 1:
            return "done"
        worker.send_job_retry(job, counts=False)
        if end == "exception":
            worker.send_job_exception(job, "no")
        elif end == "failure":
            worker.send_job_failure(job)
        else:
            worker.send_job_complete(job, "too late")
        raise ValueError("neither")

    worker.register_task(task, run)
    with working(worker):
        assert client.submit_job(task, "", poll_timeout=DEADLINE).result == "done"


def test_a_job_that_comes_again_after_an_exception_has_a_result(
    client: Any, worker: Any, task: str
) -> None:
    attempts: list[Any] = []

    def run(worker: Any, job: Any) -> str:
        attempts.append(job.handle)
        return f"{1 // (len(attempts) - 1)}"

    worker.register_task(task, run)
    with working(worker):
        request = client.submit_job(
            task, "", poll_timeout=DEADLINE, retries=1, backoff="fixed:0"
        )
    assert request.result == "1"
    assert len(set(attempts)) == 1


@pytest.mark.parametrize("delay", [-1, float("nan"), "soon"])
@pytest.mark.parametrize("raised", [False, True])
def test_a_wrong_delay_makes_the_job_fail(
    raised: bool, delay: Any, client: Any, worker: Any, task: str
) -> None:
    def run(worker: Any, job: Any) -> None:
        if raised:
            raise JobRetry(delay)
        worker.send_job_retry(job, delay)

    worker.register_task(task, run)
    with working(worker):
        request = client.submit_job(task, "", poll_timeout=DEADLINE)
    assert request.state == gearman.JOB_FAILED
    assert request.exception_details.type in (
        "builtins.ValueError",
        "builtins.TypeError",
    )


# Jobs that nobody wants any more.


def test_a_cancelled_job_says_so(ours: Server, client: Any, task: str) -> None:
    looked: list[bool] = []

    def run(worker: Any, job: Any) -> None:
        looked.append(job.cancelled)
        servers.until(lambda: job.cancelled)
        looked.append(job.cancelled)

    with ExitStack() as stack:
        admin = stack.enter_context(gearman.GearmanAdminClient([ours.address]))
        for _ in range(2):
            worker = stack.enter_context(gearman.GearmanWorker([ours.address]))
            worker.register_task(task, run)
            stack.enter_context(working(worker))
        requests = [client.submit_job(task, "", background=True) for _ in range(2)]
        servers.until(lambda: len(looked) == 2)
        for request in requests:
            assert admin.cancel_job(request.job.handle) == "OK"
        servers.until(lambda: len(looked) == 4)
    assert looked == [False, False, True, True]


def test_the_next_job_is_not_cancelled(
    ours: Server, client: Any, worker: Any, task: str
) -> None:
    def run(worker: Any, job: Any) -> str:
        if job.data == "first":
            servers.until(lambda: job.cancelled)
        return f"{job.cancelled}"

    worker.register_task(task, run)
    with (
        gearman.GearmanClient([ours.address]) as leaving,
        gearman.GearmanAdminClient([ours.address]) as admin,
        working(worker),
    ):
        leaving.submit_job(task, "first", wait_until_complete=False)

        def running() -> bool:
            rows = {row["task"]: row["running"] for row in admin.get_status()}
            return rows[task] == 1

        servers.until(running)
        # Nobody else waits for the result.
        leaving.close()
        request = client.submit_job(task, "second", poll_timeout=DEADLINE)
        assert request.result == "False"


def test_a_job_whose_time_is_over_is_cancelled(
    client: Any, ours: Server, task: str
) -> None:
    ended: list[bool] = []

    def run(worker: Any, job: Any) -> str:
        if ended and not job.cancelled:
            return "done"
        servers.until(lambda: job.cancelled)
        ended.append(True)
        raise JobRetry(counts=False)

    with gearman.GearmanWorker([ours.address], extensions=True) as worker:
        worker.register_task(task, run)
        with working(worker):
            request = client.submit_job(
                *(task, ""),
                poll_timeout=DEADLINE,
                timeout=0.1,
                # On a busy machine the time of the second one may be over, too.
                retries=100,
                backoff="fixed:0",
            )
    assert request.result == "done"


def test_a_job_that_was_cancelled_before_the_first_look_says_so_if_asked_for(
    ours: Server, client: Any, task: str
) -> None:
    begun: Future[None] = Future()
    go_on: Future[None] = Future()
    seen: list[bool] = []

    def run(worker: Any, job: Any) -> None:
        begun.set_result(None)
        go_on.result(DEADLINE)
        servers.until(lambda: job.cancelled)
        seen.append(job.cancelled)

    class Asking(gearman.GearmanWorker):
        extensions = True

    with (
        Asking([ours.address]) as worker,
        gearman.GearmanAdminClient([ours.address]) as admin,
    ):
        worker.register_task(task, run)
        with working(worker):
            request = client.submit_job(task, "", background=True)
            begun.result(DEADLINE)
            admin.cancel_job(request.job.handle)
            go_on.set_result(None)
    assert seen == [True]


def test_a_job_of_a_client_is_not_cancelled(client: Any, task: str) -> None:
    request = client.submit_job(task, "", background=True)
    assert request.job.cancelled is False


# What a server is sent.


@pytest.fixture
def hand() -> Iterator[HandServer]:
    with HandServer() as server:
        yield server


def assign(side: Conversation) -> None:
    side.send("NOOP")
    side.expect("GRAB_JOB_UNIQ")
    side.send("JOB_ASSIGN_UNIQ", b"H:1", b"task", b"", b"x")


def begin(hand: HandServer) -> Conversation:
    side = hand.accept()
    side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
    assign(side)
    return side


def end(side: Conversation) -> None:
    side.expect("GRAB_JOB_UNIQ")
    side.send("NO_JOB")
    side.expect("PRE_SLEEP")


def test_a_worker_that_never_looks_asks_nothing(hand: HandServer) -> None:
    with gearman.GearmanWorker([hand.address]) as worker:
        worker.register_task("task", lambda worker, job: job.data)
        with working(worker):
            side = begin(hand)
            assert side.expect("WORK_COMPLETE") == [b"H:1", b"x"]
            end(side)


def test_a_worker_asks_for_the_extensions_once(hand: HandServer) -> None:
    def run(worker: Any, job: Any) -> str:
        return f"{job.cancelled} {job.cancelled}"

    with gearman.GearmanWorker([hand.address], reconnect=True) as worker:
        worker.register_task("task", run)
        with working(worker):
            side = begin(hand)
            assert side.expect("OPTION_REQ") == [b"extensions"]
            assert side.expect("WORK_COMPLETE") == [b"H:1", b"False False"]
            side.expect("GRAB_JOB_UNIQ")
            side.send("OPTION_RES", b"extensions")
            side.send("JOB_ASSIGN_UNIQ", b"H:2", b"task", b"", b"")
            assert side.expect("WORK_COMPLETE") == [b"H:2", b"False False"]
            side.expect("GRAB_JOB_UNIQ")
            side.close()
            # At the beginning of the next connection, as it has looked before.
            side = hand.accept()
            side.expect("RESET_ABILITIES", "CAN_DO", "OPTION_REQ", "PRE_SLEEP")


def test_a_refused_option_is_not_the_answer_to_a_grab(hand: HandServer) -> None:
    with gearman.GearmanWorker([hand.address]) as worker:
        worker.register_task("task", lambda worker, job: f"{job.cancelled}")
        with working(worker):
            side = begin(hand)
            side.expect("OPTION_REQ", "WORK_COMPLETE", "GRAB_JOB_UNIQ")
            side.send("ERROR", b"UNKNOWN_OPTION", b"no")
            side.send("JOB_ASSIGN_UNIQ", b"H:2", b"task", b"", b"")
            side.expect("WORK_COMPLETE")
            end(side)


@pytest.mark.parametrize("raised", [False, True])
def test_a_server_without_extensions_is_not_given_the_job_back(
    raised: bool, hand: HandServer
) -> None:
    def run(worker: Any, job: Any) -> str:
        if raised:
            raise JobRetry(5)
        with pytest.raises(UnsupportedByServer, match="to try a job again"):
            worker.send_job_retry(job, 5)
        return "done"

    with gearman.GearmanWorker([hand.address]) as worker:
        worker.register_task("task", run)
        with working(worker):
            side = begin(hand)
            side.expect("OPTION_REQ")
            side.send("ERROR", b"UNKNOWN_OPTION", b"no")
            side.expect("WORK_FAIL" if raised else "WORK_COMPLETE")
            end(side)


def test_a_given_back_job_is_one_packet(hand: HandServer) -> None:
    with gearman.GearmanWorker([hand.address]) as worker:
        worker.register_task(
            "task", lambda worker, job: worker.send_job_retry(job, 2.5, "why")
        )
        with working(worker):
            side = begin(hand)
            side.expect("OPTION_REQ")
            side.send("OPTION_RES", b"extensions")
            assert side.expect("WORK_RETRY") == [b"H:1", b"2.5", b"why"]
            side.expect("GRAB_JOB_UNIQ")
            side.send("JOB_ASSIGN_UNIQ", b"H:1", b"task", b"", b"")
            assert side.expect("WORK_RETRY") == [b"H:1", b"2.5", b"why"]
            end(side)


def test_a_job_is_cancelled_if_its_connection_is_lost(hand: HandServer) -> None:
    seen: Future[list[bool]] = Future()

    def run(worker: Any, job: Any) -> str:
        servers.until(lambda: job.cancelled)
        seen.set_result([job.cancelled, job.cancelled])
        return "lost"

    with gearman.GearmanWorker([hand.address], reconnect=True) as worker:
        worker.register_task("task", run)
        work = meanwhile(worker.work)
        side = begin(hand)
        side.expect("OPTION_REQ")
        side.close()
        assert seen.result(DEADLINE) == [True, True]
        side = hand.accept()
        side.expect("RESET_ABILITIES", "CAN_DO", "OPTION_REQ", "PRE_SLEEP")
        worker.stop()
        work.result(DEADLINE)


@pytest.mark.interop
def test_gearmand_cannot_try_a_job_again(task: str) -> None:
    def run(worker: Any, job: Any) -> str:
        if job.data == "look":
            return f"{job.cancelled}"
        raise JobRetry

    with (
        servers.gearmand() as server,
        gearman.GearmanClient([server.address]) as client,
        gearman.GearmanWorker([server.address], report_exceptions=True) as worker,
    ):
        worker.register_task(task, run)
        with working(worker):
            for _ in range(2):
                request = client.submit_job(task, "look", poll_timeout=DEADLINE)
                assert request.result == "False"
                request = client.submit_job(task, "", poll_timeout=DEADLINE)
                assert request.state == gearman.JOB_FAILED
                details = request.exception_details
                assert details is not None
                assert details.type == "gearman.errors.UnsupportedByServer"
