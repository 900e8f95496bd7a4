"""Bugs of python-gearman 2.0.2 that must not come back.

Each test does the same as the report of the bug; its name says the right behaviour.
"""

from typing import Any

import pytest

import gearman
from tests.client.stage import HandServer, meanwhile, working
from tests.servers import DEADLINE, Server
from tests.wire import RESPONSE, packet


def test_a_task_that_returns_none_does_not_end_the_worker(
    client: Any, worker: Any, task: str
) -> None:
    def part_by_part(worker: Any, job: Any) -> None:
        for character in str(job.data):
            worker.send_job_data(job, character)

    worker.register_task(task, part_by_part)
    with working(worker):
        for _ in range(2):
            request = client.submit_job(task, "abc", poll_timeout=DEADLINE)
            assert list(request.data_updates) == ["a", "b", "c"]
            assert request.result == ""


def test_with_json_none_is_null(server: Server, task: str) -> None:
    with (
        gearman.GearmanClient([server.address]) as client,
        gearman.GearmanWorker([server.address]) as worker,
    ):
        worker.data_encoder = client.data_encoder = gearman.JSONEncoder
        worker.register_task(task, lambda worker, job: job.data)
        with working(worker):
            request = client.submit_job(task, [1], poll_timeout=DEADLINE)
            assert request.result == [1]
            request = client.submit_job(task, None, poll_timeout=DEADLINE)
            assert (request.result, request.state) == (None, gearman.JOB_COMPLETE)


@pytest.mark.parametrize("result", [5, object(), ["a"]])
def test_a_result_that_cannot_be_sent_fails_one_job_only(
    result: Any, client: Any, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: result)
    with working(worker):
        for _ in range(2):
            request = client.submit_job(task, "", poll_timeout=DEADLINE)
            assert request.state == gearman.JOB_FAILED


def test_a_payload_that_cannot_be_read_fails_one_job_only(
    server: Server, client: Any, task: str
) -> None:
    with gearman.GearmanWorker([server.address]) as worker:
        worker.data_encoder = gearman.JSONEncoder
        worker.register_task(task, lambda worker, job: job.data)
        with working(worker):
            assert client.submit_job(task, "no json").state == gearman.JOB_FAILED
            assert client.submit_job(task, "[1]").result == "[1]"


def test_a_result_that_cannot_be_read_is_not_waited_for_again(
    server: Server, worker: Any, task: str
) -> None:
    with gearman.GearmanClient([server.address]) as client:
        client.data_encoder = gearman.JSONEncoder
        worker.register_task(task, lambda worker, job: "no json")
        requests = client.submit_multiple_jobs(
            [{"task": task, "data": ""}], wait_until_complete=False
        )
        with working(worker):
            with pytest.raises(ValueError, match="Expecting value"):
                client.wait_until_jobs_completed(requests, poll_timeout=DEADLINE)
            client.wait_until_jobs_completed(requests, poll_timeout=DEADLINE)
        assert requests[0].state == gearman.JOB_FAILED


def test_an_exception_arrives_and_raises_no_key_error(
    server: Server, client: Any, task: str
) -> None:
    class Telling(gearman.GearmanWorker):
        def on_job_exception(self, current_job: Any, exc_info: Any) -> Any:
            self.send_job_exception(current_job, repr(exc_info[1]))
            # Both are unknown: the server does not know the job any more.
            return super().on_job_exception(current_job, exc_info)

    with Telling([server.address]) as worker:
        worker.register_task(task, lambda worker, job: {}[job.data])
        with working(worker):
            # And the worker still takes jobs after a few of these.
            for _ in range(5):
                request = client.submit_job(task, "a", poll_timeout=DEADLINE)
                assert request.state == gearman.JOB_FAILED
                assert request.exception == "KeyError(b'a')"


def test_a_failure_whose_handle_ends_with_nul_is_recognised(task: str) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        submission = meanwhile(client.submit_job, task, "")
        side = server.accept()
        assert side.expect("OPTION_REQ") == [b"exceptions"]
        side.send("ERROR", b"UNKNOWN_OPTION", b"no")
        side.expect("SUBMIT_JOB")
        side.send("JOB_CREATED", b"H:1")
        side.send("WORK_FAIL", b"H:1\0")
        assert submission.result(DEADLINE).state == gearman.JOB_FAILED


def test_an_error_does_not_leave_the_next_command_lying(task: str) -> None:
    with HandServer() as server, gearman.GearmanWorker([server.address]) as worker:
        worker.register_task(task, lambda worker, job: "")
        with working(worker):
            side = server.accept()
            side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
            error = packet("ERROR", b"JOB_NOT_FOUND", b"?", magic=RESPONSE)
            side.send_bytes(error + packet("NOOP", magic=RESPONSE))
            side.expect("GRAB_JOB_UNIQ")
            side.send("NO_JOB")
            side.expect("PRE_SLEEP")


def test_the_status_of_a_job_that_has_ended_raises_no_key_error(
    client: Any, worker: Any, task: str
) -> None:
    worker.register_task(task, lambda worker, job: "done")
    with working(worker):
        request = client.submit_job(task, "", poll_timeout=DEADLINE)
    for _ in range(2):
        status = client.get_job_status(request, poll_timeout=DEADLINE).status
        assert status["known"] is False
    assert request.result == "done"


def test_late_packets_for_a_request_that_is_gone_raise_no_key_error(
    task: str,
) -> None:
    with HandServer() as server, gearman.GearmanClient([server.address]) as client:
        submission = meanwhile(client.submit_job, task, "")
        side = server.accept()
        side.expect("OPTION_REQ", "SUBMIT_JOB")
        side.send("JOB_CREATED", b"H:1")
        for name in ("WORK_DATA", "WORK_WARNING", "WORK_COMPLETE", "WORK_EXCEPTION"):
            side.send(name, b"H:0", b"late")
        side.send("WORK_STATUS", b"H:0", b"1", b"2")
        side.send("STATUS_RES", b"H:0", b"1", b"1", b"1", b"2")
        side.send("WORK_FAIL", b"H:0")
        side.send("WORK_COMPLETE", b"H:1", b"done")
        assert submission.result(DEADLINE).result == "done"


def test_a_status_of_fractions_raises_no_value_error(
    client: Any, worker: Any, task: str
) -> None:
    worker.register_task(
        task, lambda worker, job: worker.send_job_status(job, 1.5, 3.0)
    )
    with working(worker):
        request = client.submit_job(task, "", poll_timeout=DEADLINE)
    assert (request.status["numerator"], request.status["denominator"]) == (1, 3)


def test_a_unique_of_a_dash_stays_one(client: Any, task: str) -> None:
    request = client.submit_job(task, "data", unique="-", background=True)
    assert request.job.unique == "-"


def test_a_job_assigned_without_a_unique_is_run(task: str) -> None:
    with HandServer() as server, gearman.GearmanWorker([server.address]) as worker:
        worker.register_task(task, lambda worker, job: repr(job.unique))
        with working(worker):
            side = server.accept()
            side.expect("RESET_ABILITIES", "CAN_DO", "PRE_SLEEP")
            side.send("NOOP")
            side.expect("GRAB_JOB_UNIQ")
            side.send("JOB_ASSIGN", b"H:1", task.encode(), b"")
            assert side.expect("WORK_COMPLETE") == [b"H:1", b"None"]
            side.expect("GRAB_JOB_UNIQ")
            side.send("NO_JOB")
