"""Jobs that no worker takes within their time to live are given up."""

from math import inf

import pytest

from gearman.commands import Command
from gearman.server.broker.constants import NORMAL, SWEEP
from gearman.server.broker.steering.expiry import GROUP_SIZE, MANY_EXPIRE
from tests.server.broker.steered import (
    UNKNOWN,
    WAITS,
    background,
    policy,
    result,
    submit,
    taken,
)

REASON = b"no worker took it within its time to live"


def times(server) -> int:
    """Return how many times of jobs are kept because of the policy of f."""
    function = server.broker.functions.known[b"f"]
    return sum(line.count for line in function.fresh)


class TestJobs:
    """Times to live of jobs, by either of their sources."""

    @pytest.fixture(params=["option", "policy", "policy of stored jobs"])
    def source(self, request):
        return request.param

    @pytest.fixture
    def server(self, make_server, source):
        server = make_server(persistent=source == "policy of stored jobs")
        if source != "option":
            policy(server, b"ttl=10")
        return server

    @pytest.fixture
    def options(self, source):
        return b"ttl=10" if source == "option" else b""

    def queue(self, server, client, options):
        """Submit a background job, store it, and return its handle."""
        command = Command.SUBMIT_JOB_WITH
        if options:
            client.send(command, b"f", b"", b"background=1&" + options, b"w")
        else:
            client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w")
        jobs = [job for job in server.broker.jobs.changes if not isinstance(job, int)]
        server.broker.jobs.changes.clear()
        server.broker.stored.durable(jobs)
        (job,) = server.broker.jobs.known.values()
        client.got()
        return job.handle

    def test_job_that_nobody_takes_in_time_is_given_up(self, server, options):
        client = server.connect()
        handle = self.queue(server, client, options)
        client.send(Command.WATCH_JOB, handle)
        assert server.after(9.9) <= 0.1001
        assert client.got() == []
        server.after(0.1)
        assert client.got() == [(Command.WORK_FAIL, handle)]
        assert server.broker.jobs.known == {}
        assert server.broker.delay() == inf

    def test_job_that_was_started_in_time_has_all_time(self, server, options):
        client, worker = server.connect(), server.connect().can_do()
        self.queue(server, client, options)
        server.after(9)
        handle = taken(server, worker)
        server.after(100)
        worker.leave()
        server.after(100)
        assert taken(server, server.connect().can_do()) == handle

    def test_job_that_is_tried_again_has_all_time(self, server, options):
        policy(server, b"retries=1&backoff=fixed:50")
        client, worker = server.connect(), server.connect().can_do()
        self.queue(server, client, options)
        worker.send(Command.WORK_FAIL, taken(server, worker))
        server.after(50)
        server.after(50)
        assert worker.grab() is not None

    def test_cancelled_job_does_not_expire(self, server, options):
        handle = self.queue(server, server.connect(), options)
        server.broker.cancel(handle)
        server.after(20)
        assert server.broker.losses.notices == []
        assert server.broker.delay() == inf


class TestOptions:
    @pytest.mark.parametrize("wait", [b"delay=5", b"at=1700000005"])
    def test_time_to_live_begins_when_the_job_may_start(self, server, wait):
        client = server.connect()
        handle = submit(client, b"ttl=10&" + wait)
        server.after(5)
        server.after(9.9)
        assert client.got() == []
        server.after(0.2)
        assert client.got() == [(Command.WORK_FAIL, handle)]

    def test_own_time_to_live_comes_before_that_of_the_policy(self, server):
        policy(server, b"ttl=1")
        client = server.connect()
        handle = submit(client, b"ttl=10")
        server.after(9)
        assert result(client, handle) == WAITS
        server.after(1)
        assert result(client, handle) == UNKNOWN

    def test_expired_job_dies_for_its_reason(self, server):
        client = server.connect()
        handle = background(client, b"ttl=10&dead=list")
        server.after(10)
        assert result(client, handle) == (b"failed", REASON)
        (notice,) = server.broker.losses.notices
        assert notice == ("given up", handle, b"f", None, REASON.decode(), 0)

    def test_job_for_later_has_the_time_to_live_of_the_policy(self, server):
        policy(server, b"ttl=10")
        client = server.connect()
        when = b"%d" % (server.wall + 5)
        client.send(Command.SUBMIT_JOB_EPOCH, b"f", b"", when, b"w")
        server.after(5)
        server.after(9.9)
        assert len(server.broker.jobs.known) == 1
        server.after(0.2)
        assert server.broker.jobs.known == {}


class TestPolicies:
    """Times to live of many jobs, which are kept without timers."""

    def test_jobs_expire_in_their_order(self, server):
        policy(server, b"ttl=10")
        client = server.connect()
        handles = []
        for _ in range(5):
            handles.append(client.submit())
            server.after(1)
        server.after(5)
        for handle in handles:
            assert client.got() == [(Command.WORK_FAIL, handle)]
            server.after(1)

    @pytest.mark.parametrize(
        "command",
        [Command.SUBMIT_JOB_HIGH, Command.SUBMIT_JOB, Command.SUBMIT_JOB_LOW],
    )
    def test_jobs_of_all_priorities_expire(self, server, command):
        policy(server, b"ttl=10")
        client = server.connect()
        handle = client.submit(command=command)
        server.after(1)
        other = client.submit()
        server.after(9)
        assert client.got() == [(Command.WORK_FAIL, handle)]
        server.after(1)
        assert client.got() == [(Command.WORK_FAIL, other)]

    def test_shorter_time_to_live_counts_for_jobs_to_come(self, server):
        client = server.connect()
        policy(server, b"ttl=100")
        old = client.submit()
        policy(server, b"ttl=10")
        new = client.submit()
        server.after(10)
        assert client.got() == [(Command.WORK_FAIL, new)]
        server.after(90)
        assert client.got() == [(Command.WORK_FAIL, old)]

    def test_shorter_time_to_live_counts_for_another_priority(self, server):
        client = server.connect()
        policy(server, b"ttl=100")
        old = client.submit()
        policy(server, b"ttl=10")
        new = client.submit(command=Command.SUBMIT_JOB_LOW)
        server.after(10)
        assert client.got() == [(Command.WORK_FAIL, new)]
        server.after(90)
        assert client.got() == [(Command.WORK_FAIL, old)]

    def test_jobs_that_were_there_before_the_policy_stay(self, server):
        client = server.connect()
        client.submit()
        policy(server, b"ttl=10")
        server.after(11)
        assert len(server.broker.jobs.known) == 1

    def test_jobs_submitted_after_the_policy_is_gone_stay(self, server):
        client = server.connect()
        policy(server, b"ttl=10")
        server.broker.functions.of(b"f")
        assert server.broker.policies.unset(b"f")
        client.submit()
        policy(server, b"retries=1")
        client.submit()
        server.after(11)
        assert len(server.broker.jobs.known) == 2

    def test_very_many_jobs_expire_in_several_turns(self, server):
        policy(server, b"ttl=10")
        client = server.connect()
        for _ in range(MANY_EXPIRE + 5):
            client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w")
        assert server.after(10) <= 0
        assert len(server.broker.jobs.known) == 5
        assert server.after(0) == inf
        assert server.broker.jobs.known == {}

    def test_times_of_jobs_that_were_started_are_not_kept(self, server):
        policy(server, b"ttl=1000")
        client, worker = server.connect(), server.connect().can_do()
        for _ in range(100):
            handle = client.submit()
            assert worker.grab() == handle
            worker.send(Command.WORK_COMPLETE, handle, b"")
            client.got()
        assert times(server) == 0
        assert len(server.broker.places.expiry._looks) == 1

    def test_times_are_forgotten_up_to_the_next_job_that_waits(self, server):
        policy(server, b"ttl=1000")
        client, worker = server.connect(), server.connect().can_do()
        handles = [client.submit() for _ in range(5)]
        server.broker.cancel(handles[2])
        assert times(server) == 5
        for left in (4, 2, 1, 0):
            taken(server, worker)
            assert times(server) == left

    @pytest.mark.parametrize(("later", "left"), [(0.5, 0), (2, 1)])
    def test_jobs_within_a_thousandth_of_their_time_expire_together(
        self, server, later, left
    ):
        policy(server, b"ttl=1000")
        client = server.connect()
        client.submit()
        server.after(later)
        client.submit()
        server.after(1000 - later)
        assert len(server.broker.jobs.known) == left
        server.after(later)
        assert not server.broker.jobs.known

    def test_group_of_jobs_that_expire_together_is_not_large(self, server):
        policy(server, b"ttl=1000")
        client = server.connect()
        for _ in range(GROUP_SIZE + 1):
            client.submit()
        (function,) = server.broker.functions.known.values()
        groups = function.fresh[NORMAL].groups
        assert [len(group.jobs) for group in groups] == [GROUP_SIZE, 1]

    def test_times_of_jobs_that_are_gone_are_not_kept_for_long(self, server):
        policy(server, b"ttl=1000")
        client = server.connect()
        client.submit()
        for _ in range(10 * SWEEP):
            server.broker.cancel(client.submit())
            client.got()
        assert times(server) <= SWEEP + 4
        server.after(1000)
        assert times(server) == 0
        assert server.broker.jobs.known == {}

    def test_turns_of_jobs_that_are_gone_are_not_kept_for_long(self, server):
        policy(server, b"ttl=1000")
        client = server.connect()
        client.submit()
        for _ in range(10 * SWEEP):
            server.after(0.01)
            server.broker.cancel(client.submit())
            client.got()
        (_, line, _) = server.broker.functions.known[b"f"].fresh
        assert len(line.groups) <= SWEEP + 4
        server.after(1000)
        assert not line.groups
        assert server.broker.jobs.known == {}

    def test_restored_job_without_a_time_to_live_gets_that_of_the_policy(
        self, make_server
    ):
        server = make_server(persistent=True)
        policy(server, b"ttl=10")
        restore = server.broker.stored.restore
        restore(5, b"H:test:5", b"f", b"", b"w", 1, 0, 0, None)
        server.after(10)
        assert server.broker.jobs.known == {}
