"""HTTP connections: jobs and their answers, their order, time limits and limits."""

import pytest

from gearman.commands import Command
from gearman.server.protocols.http.connection import READ_AHEAD
from tests.server.protocols.http.web import Web, answers, request

ECHO = request("POST", "/f", b"work")
HEALTH = request("GET", "/healthz")
SLOW = 30.0


@pytest.fixture
def web(server):
    return Web(server)


@pytest.fixture
def worker(server):
    return server.connect().can_do()


def finish(worker, result=b"done", command=Command.WORK_COMPLETE):
    """Let a worker end its next job."""
    handle = worker.grab()
    arguments = (handle,) if command == Command.WORK_FAIL else (handle, result)
    worker.send(command, *arguments)
    return handle


class TestForeground:
    @pytest.mark.parametrize("piece", [0, 1, 10])
    def test_result_is_the_answer(self, web, worker, piece):
        assert web.send(ECHO, piece) == b""
        handle = finish(worker, b"a\0b")
        answer = web.answer()
        assert (answer.status, answer.body) == (200, b"a\0b")
        assert answer.headers["x-gearman-job-handle"] == handle.decode()
        assert answer.headers["x-gearman-command"] == "WORK_COMPLETE"
        assert answer.headers["content-length"] == "3"
        assert answer.headers["server"] == "Gearman/1.2.3"
        assert answer.headers["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"

    def test_workload_may_come_in_chunks(self, web, worker):
        head = request("POST", "/f", transfer_encoding="chunked")
        web.send(head + b"2\r\nwo\r\n2\r\nrk\r\n0\r\n\r\n", 1)
        assert worker.grab_workload() == b"work"

    def test_head_runs_the_job_and_gets_no_body(self, web, worker):
        web.send(request("HEAD", "/f"))
        finish(worker)
        answer = web.answer("HEAD")
        assert (answer.status, answer.headers["content-length"]) == (200, "4")
        assert web.ask(HEALTH).status == 200

    def test_failure_is_an_error(self, web, worker):
        web.send(ECHO)
        handle = finish(worker, command=Command.WORK_FAIL)
        answer = web.answer()
        assert answer.status == 500
        assert answer.headers["x-gearman-command"] == "WORK_FAIL"
        assert answer.headers["x-gearman-job-handle"] == handle.decode()
        assert answer.body.endswith(b".\n")

    def test_exception_is_an_error_and_its_body(self, web, worker):
        web.send(ECHO)
        finish(worker, b"boom", Command.WORK_EXCEPTION)
        answer = web.answer()
        assert (answer.status, answer.body) == (500, b"boom")
        assert answer.headers["x-gearman-command"] == "WORK_EXCEPTION"

    def test_warnings_and_status_change_nothing(self, web, worker):
        web.send(ECHO)
        handle = worker.grab()
        worker.send(Command.WORK_WARNING, handle, b"careful")
        worker.send(Command.WORK_STATUS, handle, b"1", b"2")
        assert web.came() == b""
        worker.send(Command.WORK_COMPLETE, handle, b"done")
        assert web.answer().body == b"done"

    def test_full_queue_asks_to_try_again(self, server, web):
        server.connect().ask(b"maxqueue f 1")
        Web(server).send(ECHO)
        answer = web.ask(ECHO)
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        assert answer.body == b"Job queue is full. Try again later.\n"
        assert answer.headers["x-gearman-command"] == "ERROR"

    def test_failing_store_asks_to_try_again(self, web):
        web.send(ECHO)
        web.protocol.peer.refuse(b"QUEUE_ERROR", b"The disk is full")
        assert web.answer().status == 503

    def test_cancelled_job_is_an_error(self, server, web):
        web.send(ECHO)
        (job,) = server.broker.jobs.known.values()
        server.broker.cancel(job.handle)
        assert web.answer().status == 500

    def test_job_of_who_hangs_up_is_dropped(self, server, web):
        web.send(ECHO)
        web.leave()
        assert server.broker.jobs.known == {}

    def test_same_requests_are_different_jobs_without_a_unique(self, server, web):
        web.send(ECHO)
        Web(server).send(ECHO)
        assert len(server.broker.jobs.known) == 2

    def test_same_unique_is_one_job_with_two_answers(self, server, web, worker):
        both = [web, Web(server)]
        for each in both:
            each.send(request("POST", "/f", x_gearman_unique="u"))
        finish(worker)
        assert [each.answer().body for each in both] == [b"done", b"done"]


class TestBackground:
    DATA = request("POST", "/f", b"work", x_gearman_background="true")

    def test_job_is_acknowledged_and_stays(self, server, web):
        answer = web.ask(self.DATA)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["x-gearman-command"] == "JOB_CREATED"
        assert answer.headers["x-gearman-job-handle"] == "H:test:1"
        assert answer.headers["content-length"] == "0"
        web.leave()
        assert len(server.broker.jobs.known) == 1

    def test_answer_waits_for_the_acknowledgement(self, server, web, monkeypatch):
        submitted: list[bytes] = []
        monkeypatch.setattr(
            server.site,
            "broker",
            Late(server.broker, submitted),
        )
        assert web.send(self.DATA + HEALTH) == b""
        web.protocol.peer.send(Command.JOB_CREATED, (b"H:late:1",))
        first, second = answers(web.came())
        assert first.headers["x-gearman-job-handle"] == "H:late:1"
        assert second.body == b"alive\n"
        assert submitted == [b"f"]


class Late:
    """A broker that does not acknowledge jobs, as one that waits for a store."""

    def __init__(self, broker, submitted):
        self.now, self.wall = broker.now, broker.wall
        self._submitted = submitted

    def submit(self, peer, function, *arguments):
        self._submitted.append(function)


class TestStreaming:
    def start(self, web, worker, data=ECHO):
        web.send(data)
        handle = worker.grab()
        worker.send(Command.WORK_DATA, handle, b"one ")
        return handle

    def test_data_is_passed_on_as_it_comes(self, web, worker):
        handle = self.start(web, worker)
        begun = web.came()
        assert b"\r\nTransfer-Encoding: chunked\r\n" in begun
        assert b"\r\nX-Gearman-Command: WORK_DATA\r\n" in begun
        assert b"\r\nX-Gearman-Job-Handle: %b\r\n" % handle in begun
        assert begun.endswith(b"\r\n\r\n4\r\none \r\n")
        worker.send(Command.WORK_DATA, handle, b"two ")
        assert web.came() == b"4\r\ntwo \r\n"
        worker.send(Command.WORK_COMPLETE, handle, b"end")
        last = web.came()
        assert last == b"3\r\nend\r\n0\r\nX-Gearman-Command: WORK_COMPLETE\r\n\r\n"
        assert answers(begun + b"4\r\ntwo \r\n" + last)[0].body == b"one two end"
        assert web.ask(HEALTH).status == 200

    def test_data_for_an_old_client_ends_with_the_connection(self, web, worker):
        old = b"POST /f HTTP/1.0\r\nContent-Length: 4\r\n\r\nwork"
        handle = self.start(web, worker, old)
        assert web.came().endswith(b"Connection: close\r\n\r\none ")
        worker.send(Command.WORK_COMPLETE, handle, b"end")
        assert web.came() == b"end"
        assert web.protocol.finished

    def test_head_gets_no_data(self, web, worker):
        handle = self.start(web, worker, request("HEAD", "/f"))
        assert web.came().endswith(b"\r\n\r\n")
        worker.send(Command.WORK_COMPLETE, handle, b"end")
        assert web.came() == b""
        assert web.ask(HEALTH).status == 200

    @pytest.mark.parametrize("command", [Command.WORK_FAIL, Command.WORK_EXCEPTION])
    def test_answer_of_a_job_that_fails_halfway_breaks_off(self, web, worker, command):
        handle = self.start(web, worker)
        web.came()
        more = () if command == Command.WORK_FAIL else (b"boom",)
        worker.send(command, handle, *more)
        assert web.protocol.peer in web.server.broker.touched
        assert web.came() == b""
        assert web.protocol.finished


class TestOrder:
    def test_requests_are_carried_out_one_after_the_other(self, server, web, worker):
        web.send(ECHO + HEALTH + ECHO)
        assert len(server.broker.jobs.known) == 1
        finish(worker, b"first")
        first, second = answers(web.came())
        assert (first.body, second.body) == (b"first", b"alive\n")
        assert len(server.broker.jobs.known) == 1
        finish(worker, b"last")
        assert web.answer().body == b"last"

    def test_result_that_comes_within_a_turn_does_not_begin_the_next_job(
        self, server, web, worker
    ):
        web.send(ECHO + ECHO)
        finish(worker)
        assert server.broker.jobs.known == {}
        assert web.protocol.ready
        web.came()
        assert len(server.broker.jobs.known) == 1

    def test_nothing_is_read_while_too_much_waits(self, web, worker):
        web.send(ECHO)
        web.send(HEALTH * (READ_AHEAD // len(HEALTH)))
        assert not web.protocol.paused
        web.send(HEALTH)
        assert web.protocol.paused
        finish(worker)
        assert len(answers(web.came())) == READ_AHEAD // len(HEALTH) + 2
        assert not web.protocol.paused

    def test_connection_stays_until_one_side_closes_it(self, web):
        for _ in range(3):
            assert "connection" not in web.ask(HEALTH).headers
        assert not web.protocol.finished
        answer = web.ask(request("GET", "/healthz", connection="close"))
        assert answer.headers["connection"] == "close"
        assert web.protocol.finished
        assert web.send(HEALTH) == b""

    def test_server_that_drains_closes_it(self, server, web, worker):
        web.send(ECHO)
        server.site.draining = True
        finish(worker)
        answer = web.answer()
        assert (answer.body, answer.headers["connection"]) == (b"done", "close")
        assert web.protocol.finished


class TestBody:
    def test_client_that_waits_is_asked_for_it(self, web, worker):
        head = request("POST", "/f", content_length="4", expect="100-continue")
        assert web.send(head) == b"HTTP/1.1 100 Continue\r\n\r\n"
        web.send(b"work")
        assert worker.grab_workload() == b"work"

    def test_client_that_sends_it_anyway_is_not_asked(self, web, worker):
        head = request("POST", "/f", content_length="4", expect="100-continue")
        assert web.send(head + b"work") == b""
        assert worker.grab_workload() == b"work"

    @pytest.mark.parametrize(
        ("path", "length", "status"),
        [("/", "4", 404), ("/healthz", "4", 405), ("/f", "1001", 413)],
    )
    def test_client_that_is_refused_is_not(self, server, web, path, length, status):
        server.site.max_packet = 1000
        web = Web(server)
        head = request("POST", path, content_length=length, expect="100-continue")
        answer = web.ask(head)
        assert (answer.status, answer.headers["connection"]) == (status, "close")

    def test_body_of_a_refused_request_is_no_request(self, server, web):
        assert len(answers(web.send(request("POST", "/", HEALTH) + HEALTH))) == 1
        assert web.send(HEALTH) == b""
        assert web.protocol.finished

    def test_bad_chunk_is_refused(self, web):
        head = request("POST", "/f", transfer_encoding="chunked")
        answer = web.ask(head + b"zz\r\n")
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert web.send(HEALTH) == b""


class TestTime:
    def test_idle_connection_is_closed_in_silence(self, web):
        web.send(HEALTH)
        web.after(SLOW - 1)
        assert not web.protocol.finished
        web.after(1)
        assert web.protocol.finished
        assert web.came() == b""

    def test_head_has_its_time_from_its_first_byte_on(self, web):
        web.after(SLOW - 1)
        web.send(b"GET /")
        web.after(SLOW - 1)
        web.send(b"f HTTP/1.1\r\n")
        web.after(1)
        answer = web.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert web.protocol.finished

    def test_body_has_time_as_long_as_it_comes(self, web):
        web.send(request("POST", "/f", content_length="4"))
        for _ in range(3):
            web.after(SLOW - 1)
            web.send(b"x")
        web.after(SLOW)
        assert web.answer().status == 408
        assert web.protocol.finished

    def test_job_may_take_any_time(self, web, worker):
        web.send(ECHO)
        web.after(10**6)
        finish(worker)
        assert web.answer().status == 200

    def test_job_that_takes_longer_than_the_request_allows_is_given_up(self, web):
        web.send(request("POST", "/f", x_gearman_timeout="2.5"))
        web.after(2)
        assert web.came() == b""
        web.after(0.5)
        answer = web.answer()
        assert (answer.status, answer.headers["connection"]) == (504, "close")
        assert answer.headers["x-gearman-job-handle"] == "H:test:1"
        assert answer.body.startswith(b"The job took longer than 2.5 s,")
        assert web.protocol.finished

    def test_server_may_limit_the_time_of_jobs(self, server):
        web = Web(server, timeout=5)
        web.send(request("POST", "/f", x_gearman_timeout="9"))
        web.after(8)
        assert web.came() == b""
        web = Web(server, timeout=5)
        web.send(request("POST", "/f"))
        web.after(5)
        assert web.answer().status == 504

    def test_request_may_lift_that_limit(self, server):
        web = Web(server, timeout=5)
        web.send(request("POST", "/f", x_gearman_timeout="0"))
        web.after(10**6)
        assert web.came() == b""

    def test_result_that_takes_too_long_breaks_off(self, web, worker):
        web.send(request("POST", "/f", x_gearman_timeout="2"))
        handle = worker.grab()
        worker.send(Command.WORK_DATA, handle, b"one")
        web.came()
        web.after(2)
        assert web.protocol.finished
        worker.send(Command.WORK_COMPLETE, handle, b"late")
        assert web.came() == b""


def test_requests_and_answers_are_traced(web):
    web.send(request("GET", "/healthz?x"))
    assert web.trace == ["received GET /healthz?x", "sent 200 (6 bytes)"]


def test_connection_without_a_trace_works(server):
    web = Web(server, traced=False)
    assert web.ask(HEALTH).status == 200
