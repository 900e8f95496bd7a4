"""Options and policies at the submission of a job."""

import pytest

from gearman.commands import Command
from gearman.options import MAX_OPTIONS
from tests.server.broker.steered import WAITS, background, policy, result, submit, taken

NO_WORKER = (
    Command.ERROR,
    b"QUEUE_ERROR",
    b"No worker has the function now, and the job needs one at once",
)


class TestSubmission:
    def test_job_with_options_is_a_foreground_job_if_it_does_not_say(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, workload=b"a\0b")
        ((_, _, _, workload),) = worker.send(Command.GRAB_JOB)
        assert workload == b"a\0b"
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")]

    def test_background_job_outlives_its_client(self, server):
        client = server.connect()
        handle = background(client)
        client.leave()
        assert server.connect().can_do().grab() == handle

    @pytest.mark.parametrize(
        "options", [b"x=1", b"retries", b"retries=x", b"after=", b"a" * MAX_OPTIONS]
    )
    def test_bad_options_are_refused(self, server, options):
        client = server.connect()
        packets = client.send(Command.SUBMIT_JOB_WITH, b"f", b"", options, b"w")
        ((answer, code, _),) = packets
        assert (answer, code) == (Command.ERROR, b"INVALID_ARGUMENTS")
        assert server.broker.jobs.known == {}

    def test_options_that_are_too_long_for_the_store_are_refused(self, make_server):
        server = make_server(persistent=True)
        client = server.connect()
        name = b"\xff" * 8000
        handles = b",".join([b"h" * 60] * 900)
        options = b"background=1&dead=function:" + name + b"&after=" + handles
        assert len(options) < MAX_OPTIONS
        packets = client.send(Command.SUBMIT_JOB_WITH, b"f", b"", options, b"w")
        assert packets[0][:2] == (Command.ERROR, b"INVALID_ARGUMENTS")
        assert server.broker.jobs.known == {}

    def test_refusal_of_bad_options_comes_in_order(self, make_server):
        server = make_server(persistent=True)
        client = server.connect()
        client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w")
        assert client.send(Command.SUBMIT_JOB_WITH, b"f", b"", b"x", b"w") == []
        server.broker.stored.durable(list(server.broker.jobs.changes))
        assert [answer for answer, *_ in client.got()] == [
            Command.JOB_CREATED,
            Command.ERROR,
        ]

    def test_foreground_job_with_options_waits_behind_a_background_job(
        self, make_server
    ):
        server = make_server(persistent=True)
        client = server.connect()
        client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w")
        options = b"retries=3&after=H:test:1&ttl=9"
        assert client.send(Command.SUBMIT_JOB_WITH, b"f", b"", options, b"w") == []
        assert server.broker.memory.peers > 4000
        server.broker.stored.durable(list(server.broker.jobs.changes))
        (_, first), (_, second) = client.got()
        found = server.broker.jobs.find(second)
        assert found.extra.options.retries == 3
        assert server.connect().can_do().grab() == first

    def test_options_of_a_job_that_is_joined_are_ignored(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = submit(client, unique=b"u")
        assert submit(client, b"retries=5&priority=high", unique=b"u") == handle
        worker.send(Command.WORK_FAIL, taken(server, worker))
        assert client.got() == [(Command.WORK_FAIL, handle)] * 2

    def test_job_may_start_only_after_its_delay_and_its_time(self, server):
        client, worker = server.connect(), server.connect().can_do()
        when = b"%.1f" % (server.wall + 7.5)
        handle = submit(client, b"delay=3&at=" + when)
        server.after(7.4)
        assert worker.grab() is None
        server.after(0.2)
        assert worker.grab() == handle

    def test_delay_that_is_longer_than_the_time_counts(self, server):
        client, worker = server.connect(), server.connect().can_do()
        submit(client, b"delay=3&at=1")
        assert worker.grab() is None
        server.after(3)
        assert worker.grab() is not None


class TestNeedWorker:
    @pytest.mark.parametrize("source", ["option", "policy"])
    def test_job_is_refused_while_no_worker_has_its_function(self, server, source):
        client = server.connect()
        options = b"need-worker=1" if source == "option" else b""
        if source == "policy":
            policy(server, b"need-worker=1")
        server.worker(b"g")
        packets = client.send(Command.SUBMIT_JOB_WITH, b"f", b"", options, b"w")
        assert packets == [NO_WORKER]
        worker = server.worker()
        submit(client, options)
        worker.leave()
        packets = client.send(Command.SUBMIT_JOB_WITH, b"f", b"", options, b"w")
        assert packets == [NO_WORKER]

    def test_policy_is_for_all_clients(self, server):
        policy(server, b"need-worker=1")
        client = server.connect()
        assert client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w") == [NO_WORKER]

    def test_own_option_comes_before_that_of_the_policy(self, server):
        policy(server, b"need-worker=1")
        submit(server.connect(), b"need-worker=0")


class TestPriority:
    def order(self, server):
        worker = server.connect().can_do()
        return b"".join(worker.grab_workload() for _ in server.broker.jobs.known)

    def test_of_the_job(self, server):
        client = server.connect()
        for priority in (b"low", b"normal", b"high"):
            submit(client, b"priority=" + priority, workload=priority[:1])
        assert self.order(server) == b"hnl"

    @pytest.mark.parametrize(
        ("priority", "order"), [(b"high", b"xhnl"), (b"low", b"hnlx")]
    )
    def test_of_the_policy_is_for_jobs_that_do_not_say(self, server, priority, order):
        policy(server, b"priority=" + priority)
        client = server.connect()
        client.submit(workload=b"l", command=Command.SUBMIT_JOB_LOW)
        submit(client, b"priority=normal", workload=b"n")
        client.submit(workload=b"x")
        client.submit(workload=b"h", command=Command.SUBMIT_JOB_HIGH)
        assert self.order(server) == order

    def test_policy_without_a_priority_changes_none(self, server):
        policy(server, b"retries=1")
        client = server.connect()
        client.submit(workload=b"l", command=Command.SUBMIT_JOB_LOW)
        client.submit(workload=b"n")
        assert self.order(server) == b"nl"


class TestMaxQueue:
    FULL = (Command.ERROR, b"QUEUE_ERROR", b"Job queue is full")

    def test_job_above_the_limit_is_refused(self, server):
        policy(server, b"max-queue=2")
        client = server.connect()
        background(client)
        background(client, b"delay=9")
        assert client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w") == [self.FULL]

    def test_jobs_that_wait_for_others_count(self, server):
        policy(server, b"max-queue=1")
        client = server.connect()
        other = background(client, name=b"g")
        background(client, b"after=" + other)
        assert b"f\t1\t0\t0\n" in client.ask(b"status")
        assert client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w") == [self.FULL]

    def test_jobs_that_are_there_stay(self, server):
        client = server.connect()
        handles = [background(client) for _ in range(3)]
        policy(server, b"max-queue=1")
        assert [result(client, handle) for handle in handles] == [WAITS] * 3

    def test_limit_of_the_server_counts_again_when_it_is_unset(self, server):
        server.broker.limits.jobs_per_function = 1
        policy(server, b"max-queue=0")
        client = server.connect()
        background(client)
        background(client)
        server.broker.policies.unset(b"f")
        assert client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w") == [self.FULL]

    def test_limit_that_an_admin_has_set_outlives_other_policies(self, server):
        client = server.connect()
        client.ask(b"maxqueue f 1")
        policy(server, b"retries=3")
        server.broker.policies.unset(b"f")
        background(client)
        assert client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w") == [self.FULL]
