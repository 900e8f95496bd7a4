"""Jobs with options: what the server is asked and told, and what the client raises."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

import gearman
from gearman.client import GearmanClient
from gearman.errors import OptionError, UnsupportedByServer
from gearman.options import Backoff, JobOptions
from tests import servers
from tests.client.stage import Conversation, HandServer, meanwhile, working
from tests.servers import DEADLINE, Server


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    with servers.ours() as server:
        yield server


@pytest.fixture
def steering(ours: Server) -> Iterator[GearmanClient]:
    with gearman.GearmanClient([ours.address]) as client:
        yield client


@pytest.fixture
def worker(ours: Server) -> Iterator[gearman.GearmanWorker]:
    with gearman.GearmanWorker([ours.address]) as worker:
        yield worker


@pytest.fixture
def hand() -> Iterator[HandServer]:
    with HandServer() as server:
        yield server


def attempts(worker: Any, task: str, failures: int) -> list[str]:
    """Register a task that fails so many times; return a list of its attempts."""
    seen: list[str] = []

    def run(worker: Any, job: Any) -> str:
        seen.append(str(job.handle))
        if len(seen) <= failures:
            raise RuntimeError("not now")
        return f"attempt {len(seen)}"

    worker.register_task(task, run)
    return seen


@pytest.mark.parametrize("poller", [{}, {"read_timeout": DEADLINE}])
def test_a_job_is_tried_again_as_often_as_its_options_say(
    ours: Server, worker: Any, task: str, poller: dict[str, Any]
) -> None:
    seen = attempts(worker, task, 2)
    with working(worker), gearman.GearmanClient([ours.address], **poller) as client:
        for options in ({"retries": 2, "backoff": "fixed:0"}, {"retries": 0}):
            request = client.submit_job(
                task, "", poll_timeout=DEADLINE, options=options
            )
            assert request.state == gearman.JOB_COMPLETE
    assert request.result == "attempt 4"
    assert len(set(seen)) == 2


def test_options_may_be_named(steering: Any, worker: Any, task: str) -> None:
    attempts(worker, task, 2)
    with working(worker):
        request = steering.submit_job(
            *(task, ""),
            poll_timeout=DEADLINE,
            retries=2,
            backoff=Backoff("fixed", 0, 0),
            need_worker=None,
        )
    assert request.result == "attempt 3"
    assert request.options == JobOptions(retries=2, backoff=Backoff("fixed", 0, 0))


def test_a_delayed_job_waits_also_in_the_foreground(
    steering: Any, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: f"{time.time()}")
    before = time.time()
    with working(worker):
        request = steering.submit_job(task, "", poll_timeout=DEADLINE, delay=0.25)
        later = steering.submit_job(
            task, "", poll_timeout=DEADLINE, options={"at": before + 0.5}
        )
    assert float(request.result) >= before + 0.25
    assert float(later.result) >= before + 0.5


def test_a_job_that_needs_a_worker_is_refused_without_one(
    steering: Any, task: str
) -> None:
    request = steering.submit_job(task, "", poll_timeout=DEADLINE, need_worker=True)
    assert request.state == gearman.JOB_FAILED
    assert request.exception.startswith("QUEUE_ERROR")


def test_jobs_of_one_call_may_have_different_options(
    steering: Any, worker: Any, task: str
) -> None:
    order: list[str] = []
    worker.register_task(task, lambda worker, job: order.append(str(job.data)))
    first = steering.submit_job(task, "first", background=True, delay=0.1)
    jobs = [
        {"task": task, "data": "third", "options": {"after": [first], "delay": 0}},
        {"task": task, "data": "second", "options": None},
    ]
    requests = steering.submit_multiple_jobs(jobs, wait_until_complete=False)
    assert requests[1].options is None
    with working(worker):
        steering.wait_until_jobs_completed(requests, poll_timeout=DEADLINE)
    assert sorted(order) == ["first", "second", "third"]
    assert order.index("first") < order.index("third")


def test_a_job_follows_others_to_their_server(ours: Server, task: str) -> None:
    with (
        servers.ours() as second,
        gearman.GearmanClient([ours.address, second.address]) as client,
    ):
        first = client.submit_job(task, "", background=True)
        for _ in range(10):
            later = client.submit_job(task, "", background=True, after=first)
            assert later.job.connection is first.job.connection


def test_many_jobs_with_options_are_submitted(
    steering: Any, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: job.data)
    jobs = [
        {"task": task, "data": f"{n}", "options": {"ttl": 60} if n % 3 else {}}
        for n in range(3000)
    ]
    with working(worker):
        for _ in range(2):
            requests = steering.submit_multiple_jobs(jobs, poll_timeout=DEADLINE)
            assert [each.result for each in requests] == [job["data"] for job in jobs]


def test_a_request_may_have_options_of_its_own(
    steering: Any, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: job.data)
    requests = set()
    for options in (JobOptions(ttl=60), {"need-worker": True}):
        job = gearman.GearmanJob(None, None, task, "", "x")
        request = gearman.GearmanJobRequest(job)
        request.options = options
        requests.add(request)
    with working(worker):
        steering.submit_job(task, "", poll_timeout=DEADLINE)  # the worker is there
        steering.submit_multiple_requests(requests, poll_timeout=DEADLINE)
    assert {each.result for each in requests} == {"x"}


def test_a_client_whose_methods_are_replaced_submits_as_well(
    ours: Server, worker: Any, task: str
) -> None:
    class Noting(gearman.GearmanClient):
        sent = 0

        def send_job_request(self, current_request: Any) -> Any:
            self.sent += 1
            return super().send_job_request(current_request)

    attempts(worker, task, 1)
    with working(worker), Noting([ours.address]) as client:
        request = client.submit_job(
            task, "", poll_timeout=DEADLINE, retries=1, backoff="fixed:0"
        )
        assert (request.result, client.sent) == ("attempt 2", 1)


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"retries": -1}, OptionError, "retries must be a whole number"),
        ({"options": {"colour": 1}}, OptionError, "'colour' is no option of a job"),
        ({"options": {"background": True}}, OptionError, "argument of its own"),
        ({"colour": 1}, TypeError, "unexpected keyword argument 'colour'"),
        ({"ttl": 1, "reducer": "sum"}, ValueError, "cannot have a reducer"),
        ({"at": 1, "when_to_run": 2}, ValueError, "both at and when_to_run"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(
    wrong: dict[str, Any], error: type[Exception], text: str, task: str
) -> None:
    with servers.ours() as server, gearman.GearmanClient([server.address]) as client:
        for _ in range(2):
            with pytest.raises(error, match=text):
                client.submit_job(task, "", background=True, **wrong)
        with gearman.GearmanAdminClient([server.address]) as admin:
            assert task not in [row["task"] for row in admin.get_status()]


# What a server is sent.


def answer_exceptions(side: Conversation) -> None:
    assert side.expect("OPTION_REQ") == [b"exceptions"]
    side.send("OPTION_RES", b"exceptions")


def test_without_options_nothing_is_asked(hand: HandServer) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        submission = meanwhile(client.submit_job, "task", "", options={})
        side = hand.accept()
        answer_exceptions(side)
        side.expect("SUBMIT_JOB")
        side.send("JOB_CREATED", b"H:1")
        side.send("WORK_COMPLETE", b"H:1", b"done")
        assert submission.result(DEADLINE).result == "done"


def test_the_extensions_are_asked_for_once(hand: HandServer) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        jobs = [{"task": "task", "data": "", "unique": str(n)} for n in range(2)]
        for job in jobs:
            job["options"] = {"ttl": 5}  # type: ignore[assignment]
        submission = meanwhile(client.submit_multiple_jobs, jobs, background=True)
        side = hand.accept()
        answer_exceptions(side)
        assert side.expect("OPTION_REQ") == [b"extensions"]
        side.send("OPTION_RES", b"extensions")
        expected = [b"task", b"0", b"ttl=5&background=1", b""]
        assert side.expect("SUBMIT_JOB_WITH") == expected
        side.expect("SUBMIT_JOB_WITH")
        side.send("JOB_CREATED", b"H:1")
        side.send("JOB_CREATED", b"H:2")
        assert [each.job.handle for each in submission.result(DEADLINE)] == [
            "H:1",
            "H:2",
        ]
        later = meanwhile(client.submit_job, "task", "", background=True, delay=1)
        side.expect("SUBMIT_JOB_WITH")
        side.send("JOB_CREATED", b"H:3")
        assert later.result(DEADLINE).complete


def test_a_job_without_options_does_not_wait_for_the_answer(hand: HandServer) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        jobs = [{"task": "one", "data": "", "options": {"ttl": 5}}]
        jobs.append({"task": "two", "data": ""})
        submission = meanwhile(client.submit_multiple_jobs, jobs, background=True)
        side = hand.accept()
        answer_exceptions(side)
        assert side.expect("OPTION_REQ", "SUBMIT_JOB_BG")[0] == b"two"
        side.send("JOB_CREATED", b"H:2")
        side.send("OPTION_RES", b"extensions")
        assert side.expect("SUBMIT_JOB_WITH")[0] == b"one"
        side.send("JOB_CREATED", b"H:1")
        first, second = submission.result(DEADLINE)
    assert (first.job.handle, second.job.handle) == ("H:1", "H:2")


def test_nothing_but_the_question_is_sent_to_a_server_that_lacks_an_option(
    hand: HandServer,
) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        submission = meanwhile(client.submit_job, "task", "", retries=1)
        side = hand.accept()
        answer_exceptions(side)
        assert side.expect("OPTION_REQ") == [b"extensions"]
        side.send("ERROR", b"UNKNOWN_OPTION", b"no")
        with pytest.raises(UnsupportedByServer, match="cannot do this: retries"):
            submission.result(DEADLINE)
        with pytest.raises(UnsupportedByServer, match="retries"):
            client.submit_job("task", "", retries=1)
        plain = meanwhile(client.submit_job, "task", "", background=True)
        side.expect("SUBMIT_JOB_BG")
        side.send("JOB_CREATED", b"H:1")
        plain.result(DEADLINE)


def test_a_request_says_why_it_was_not_sent_if_nobody_waits(hand: HandServer) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        request = client.submit_job("task", "", poll_timeout=0, keep=5)
        assert (request.state, request.timed_out) == (gearman.JOB_PENDING, True)
        waiting = meanwhile(client.wait_until_jobs_completed, [request])
        side = hand.accept()
        answer_exceptions(side)
        side.expect("OPTION_REQ")
        side.send("ERROR", b"UNKNOWN_OPTION", b"no")
        waiting.result(DEADLINE)
        assert request.state == gearman.JOB_UNKNOWN
        assert "cannot do this: keep" in request.exception
        assert request.connection_attempts == 0


def test_a_held_request_is_submitted_again_after_a_lost_connection(
    hand: HandServer,
) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        submission = meanwhile(client.submit_job, "task", "", max_retries=1, ttl=5)
        side = hand.accept()
        answer_exceptions(side)
        side.expect("OPTION_REQ")
        side.close()
        side = hand.accept()
        answer_exceptions(side)
        side.expect("OPTION_REQ")
        side.send("OPTION_RES", b"extensions")
        side.expect("SUBMIT_JOB_WITH")
        side.send("JOB_CREATED", b"H:1")
        side.send("WORK_COMPLETE", b"H:1", b"done")
        assert submission.result(DEADLINE).result == "done"


def test_threads_get_the_errors_of_their_own_jobs(hand: HandServer) -> None:
    with gearman.GearmanClient([hand.address]) as client:
        first = meanwhile(client.submit_job, "one", "")
        side = hand.accept()
        answer_exceptions(side)
        side.expect("SUBMIT_JOB")
        side.send("JOB_CREATED", b"H:1")
        second = meanwhile(client.submit_job, "two", "", retries=1)
        side.expect("OPTION_REQ")
        side.send("ERROR", b"UNKNOWN_OPTION", b"no")
        with pytest.raises(UnsupportedByServer):
            second.result(DEADLINE)
        side.send("WORK_COMPLETE", b"H:1", b"done")
        assert first.result(DEADLINE).result == "done"


# The C server does not have the extensions.


@pytest.fixture(scope="module")
def gearmand() -> Iterator[Server]:
    with servers.gearmand() as server:
        yield server


@pytest.mark.interop
def test_gearmand_delays_a_background_job(gearmand: Server, task: str) -> None:
    before = time.time()
    with (
        gearman.GearmanClient([gearmand.address]) as client,
        gearman.GearmanWorker([gearmand.address]) as worker,
    ):
        started: list[float] = []

        def run(worker: Any, job: Any) -> None:
            if job.data == "late":
                started.append(time.time())

        worker.register_task(task, run)
        for _ in range(2):
            request = client.submit_job(task, "late", background=True, delay=0.5)
            assert request.complete
        with working(worker):

            def both() -> bool:
                # gearmand 1.1 wakes no worker when the time has come.
                client.submit_job(task, "", unique="now", background=True)
                return len(started) == 2

            servers.until(both)
    assert min(started) >= before + 0.5


@pytest.mark.interop
def test_gearmand_runs_a_job_whose_options_are_usual(
    gearmand: Server, task: str
) -> None:
    with (
        gearman.GearmanClient([gearmand.address]) as client,
        gearman.GearmanWorker([gearmand.address]) as worker,
    ):
        worker.register_task(task, lambda worker, job: job.data)
        with working(worker):
            for priority in (None, gearman.PRIORITY_HIGH):
                request = client.submit_job(
                    task, "x", None, priority, poll_timeout=DEADLINE, retries=0
                )
                assert request.result == "x"


@pytest.mark.interop
def test_gearmand_is_not_sent_what_it_cannot_do(gearmand: Server, task: str) -> None:
    with gearman.GearmanClient([gearmand.address]) as client:
        for _ in range(2):
            with pytest.raises(UnsupportedByServer, match="this: delay of a job in"):
                client.submit_job(task, "", delay=1)
            with pytest.raises(UnsupportedByServer, match="this: ttl, retries"):
                client.submit_job(task, "", background=True, ttl=1, retries=1)
        with gearman.GearmanAdminClient([gearmand.address]) as admin:
            assert task not in [row["task"] for row in admin.get_status()]
