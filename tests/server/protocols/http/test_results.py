"""Options of jobs, and results of jobs that others have submitted, by HTTP."""

import pytest

from gearman.commands import Command
from gearman.server.protocols.http.results import LOOK, MAX_WAIT
from tests.server.protocols.http.web import Web, request

EXPECTED = {"background": True, "priority": 0}


@pytest.fixture
def web(server):
    return Web(server)


def result(handle, query=""):
    return request("GET", f"/jobs/{handle.decode()}/result{query}")


def kept(server, command=Command.WORK_COMPLETE, data=b"done"):
    """Let a background job end whose result is kept, and return its handle."""
    client = server.connect()
    client.send(Command.SUBMIT_JOB_WITH, b"f", b"", b"background=1&keep=60", b"w")
    worker = server.connect().can_do()
    handle = worker.grab()
    worker.send(command, handle, *((data,) if data else ()))
    worker.leave()
    return handle


class TestOptions:
    def test_job_has_them(self, server, web):
        web.send(
            request("POST", "/f", b"work", X_Gearman_Options="retries=3&delay=60&ttl=5")
        )
        (job,) = server.broker.jobs.known.values()
        assert (job.extra.options.retries, job.extra.options.delay) == (3, 60)
        assert job.extra.due == server.wall + 60
        assert not job.background
        assert job.workload == b"work"

    @pytest.mark.parametrize(
        "headers",
        [
            {"X_Gearman_Options": "background=1&priority=high"},
            {
                "X_Gearman_Options": "retries=1",
                "X_Gearman_Background": "true",
                "X_Gearman_Priority": "high",
            },
        ],
    )
    def test_background_and_priority_may_be_either_s(self, server, web, headers):
        answer = web.ask(request("POST", "/f", X_Gearman_Unique="u", **headers))
        (job,) = server.broker.jobs.known.values()
        assert answer.headers["x-gearman-command"] == "JOB_CREATED"
        assert {key: getattr(job, key) for key in EXPECTED} == EXPECTED
        assert job.unique == b"u"

    def test_result_of_a_job_with_options_is_the_answer(self, server, web):
        web.send(request("POST", "/f", X_Gearman_Options="retries=1"))
        worker = server.connect().can_do()
        worker.send(Command.WORK_COMPLETE, worker.grab(), b"done")
        assert web.answer().body == b"done"

    @pytest.mark.parametrize(
        ("headers", "sentence"),
        [
            (
                {"X_Gearman_Options": "retrys=3"},
                b"X-Gearman-Options is invalid: 'retrys' is no option of a job: there",
            ),
            (
                {"X_Gearman_Options": "priority=low", "X_Gearman_Priority": "low"},
                b"X-Gearman-Options and X-Gearman-Priority both say priority.",
            ),
            (
                {
                    "X_Gearman_Options": "background=0",
                    "X_Gearman_Background": "false",
                },
                b"X-Gearman-Options and X-Gearman-Background both say background.",
            ),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, server, web, headers, sentence):
        answer = web.ask(request("POST", "/f", **headers))
        assert answer.status == 400
        assert answer.body.startswith(sentence)
        assert server.broker.jobs.known == {}

    def test_job_that_needs_a_worker_is_refused(self, web):
        answer = web.ask(request("POST", "/f", X_Gearman_Options="need-worker=1"))
        assert answer.status == 503
        assert answer.body.startswith(b"No worker has the function now")


class TestResult:
    def test_result_that_is_kept(self, server, web):
        handle = kept(server)
        for _ in range(2):
            answer = web.ask(result(handle))
            assert (answer.status, answer.body) == (200, b"done")
            assert answer.headers["x-gearman-job-handle"] == handle.decode()
            assert answer.headers["x-gearman-command"] == "WORK_COMPLETE"
        head = request("HEAD", f"/jobs/{handle.decode()}/result")
        assert web.ask(head).headers["content-length"] == "4"

    def test_exception_that_is_kept(self, server, web):
        answer = web.ask(result(kept(server, Command.WORK_EXCEPTION, b"oops")))
        assert (answer.status, answer.body) == (500, b"oops")
        assert answer.headers["x-gearman-command"] == "WORK_EXCEPTION"

    @pytest.mark.parametrize("is_dead", [False, True])
    def test_failure_is_told_with_its_reason(self, server, web, is_dead):
        handle = server.die() if is_dead else kept(server, Command.WORK_FAIL, b"")
        answer = web.ask(result(handle))
        assert answer.status == 500
        assert answer.body == b"The job failed: its worker sent WORK_FAIL.\n"

    @pytest.mark.parametrize("query", ["", "?wait=5", "?wait=0&x=y"])
    def test_unknown_job(self, server, web, query):
        assert web.ask(result(b"H:test:99", query)).status == 404

    def test_job_that_has_not_ended(self, server, web):
        handle = server.connect().submit(command=Command.SUBMIT_JOB_BG)
        answer = web.ask(result(handle))
        assert (answer.status, answer.body) == (
            202,
            b"The job waits. Ask again later.\n",
        )
        assert answer.headers["x-gearman-job-handle"] == handle.decode()
        assert answer.headers["retry-after"] == "1"
        server.connect().can_do().grab()
        assert web.ask(result(handle)).body == b"The job runs. Ask again later.\n"

    @pytest.mark.parametrize("query", ["?wait=x", "?wait=", "?wait=-1", "?x&wait=1e5"])
    def test_wait_is_a_number_of_seconds(self, server, web, query):
        answer = web.ask(result(kept(server), query))
        assert answer.status == 400
        assert answer.body == b"wait must be a number of seconds.\n"

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_nothing_else_is_done_with_it(self, server, web, method):
        handle = server.connect().submit()
        answer = web.ask(request(method, f"/jobs/{handle.decode()}/result"))
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert server.broker.jobs.find(handle) is not None

    def test_function_of_such_a_name_has_another_path(self, server, web):
        web.send(request("POST", "/functions/jobs/x/result"))
        (job,) = server.broker.jobs.known.values()
        assert job.function.name == b"jobs/x/result"


class TestWait:
    @pytest.mark.parametrize(
        ("command", "data", "status", "body"),
        [
            (Command.WORK_COMPLETE, (b"done",), 200, b"done"),
            (Command.WORK_EXCEPTION, (b"oops",), 500, b"oops"),
            (Command.WORK_FAIL, (), 500, b"The job failed, and its worker did not say"),
        ],
    )
    def test_end_is_told_at_once(self, server, web, command, data, status, body):
        handle = server.connect().submit(command=Command.SUBMIT_JOB_BG)
        assert web.send(result(handle, "?wait=60")) == b""
        worker = server.connect().can_do()
        worker.grab()
        worker.send(Command.WORK_DATA, handle, b"part")
        assert web.came() == b""
        worker.send(command, handle, *data)
        answer = web.answer()
        assert answer.status == status
        assert answer.body.startswith(body)
        assert web.ask(request("GET", "/healthz")).status == 200

    def test_time_is_up(self, server, web):
        handle = server.connect().submit(command=Command.SUBMIT_JOB_BG)
        assert web.send(result(handle, "?wait=2.5")) == b""
        web.after(LOOK)
        web.after(LOOK)
        assert web.came() == b""
        web.after(LOOK)
        assert web.answer().status == 202
        assert server.broker.jobs.find(handle).clients == []
        assert web.ask(result(handle)).status == 202

    def test_bound_of_the_time(self, server, web):
        handle = server.connect().submit(command=Command.SUBMIT_JOB_BG)
        web.send(result(handle, "?wait=999999999"))
        web.after(MAX_WAIT)
        assert web.answer().status == 202

    def test_ended_job_is_not_waited_for(self, server, web):
        assert web.ask(result(kept(server), "?wait=60")).body == b"done"

    def test_foreground_job_goes_on_for_who_waits_for_its_result(self, server, web):
        client = server.connect()
        handle = client.submit()
        web.send(result(handle, "?wait=60"))
        client.leave()
        worker = server.connect().can_do()
        assert worker.grab() == handle
        worker.send(Command.WORK_COMPLETE, handle, b"done")
        assert web.answer().body == b"done"

    def test_client_that_has_gone_waits_no_more(self, server, web):
        handle = server.connect().submit(command=Command.SUBMIT_JOB_BG)
        web.send(result(handle, "?wait=60"))
        web.leave()
        assert server.broker.jobs.find(handle).clients == []

    def test_result_is_not_told_before_it_is_stored(self, make_server):
        server = make_server(persistent=True)
        client = server.connect()
        options = b"background=1&keep=60"
        client.send(Command.SUBMIT_JOB_WITH, b"f", b"", options, b"w")
        jobs = server.broker.jobs
        stored, jobs.changes = jobs.changes, []
        server.broker.stored.durable(stored)
        worker = server.connect().can_do()
        handle = worker.grab()
        worker.send(Command.WORK_COMPLETE, handle, b"done")
        web = Web(server)
        assert web.ask(result(handle)).status == 202
        assert web.send(result(handle, "?wait=60")) == b""
        web.after(LOOK)
        assert web.came() == b""
        server.broker.stored.recorded([record.number for record in jobs.records])
        web.after(LOOK)
        assert web.answer().status == 200

    def test_server_that_shuts_down_is_not_waited_for(self, server, web):
        handle = server.connect().submit(command=Command.SUBMIT_JOB_BG)
        web.send(result(handle, "?wait=60"))
        server.site.draining = True
        web.after(LOOK)
        answer = web.answer()
        assert (answer.status, answer.headers["connection"]) == (202, "close")
