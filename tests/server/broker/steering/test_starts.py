"""Functions start no more jobs than their policies allow."""

from math import inf

import pytest

from gearman.commands import Command
from gearman.server.broker.steering.starts import EXACTNESS
from tests.server.broker.steered import (
    NO_JOB,
    NOOP,
    background,
    extended,
    policy,
    submit,
    taken,
)


def fill(server, count=10, name=b"f"):
    client = server.connect()
    for _ in range(count):
        background(client, name=name)


def started(worker) -> int:
    """Have a worker take all jobs that it can get, and return how many these are."""
    count = 0
    while worker.grab() is not None:
        count += 1
    return count


class TestPaused:
    def test_paused_function_starts_nothing_and_wakes_nobody(self, server):
        policy(server, b"paused=1")
        worker = server.worker()
        fill(server)
        assert worker.got() == []
        assert worker.send(Command.GRAB_JOB) == [NO_JOB]
        assert worker.send(Command.PRE_SLEEP) == []
        assert server.broker.delay() == inf

    @pytest.mark.parametrize("how", ["set", "unset"])
    def test_resumed_function_wakes_its_workers(self, server, how):
        policy(server, b"paused=1")
        workers = [server.worker(), server.worker()]
        fill(server)
        if how == "set":
            policy(server, b"paused=0")
        else:
            server.broker.policies.unset(b"f")
        assert [worker.got() for worker in workers] == [[NOOP], [NOOP]]
        assert started(workers[0]) == 10

    def test_with_few_wakeups_one_worker_after_the_other_is_woken(self, make_server):
        server = make_server(wakeup=1)
        policy(server, b"paused=1")
        workers = [server.worker(), server.worker()]
        fill(server)
        policy(server, b"paused=0")
        assert [worker.got() for worker in workers] == [[NOOP], []]
        assert workers[0].grab()
        assert workers[1].got() == [NOOP]

    def test_worker_gets_jobs_of_other_functions_meanwhile(self, server):
        policy(server, b"paused=1")
        worker = server.worker(b"f", b"g")
        fill(server)
        fill(server, 1, b"g")
        assert worker.got() == [NOOP]
        assert started(worker) == 1

    def test_worker_of_many_functions_finds_what_is_resumed(self, server):
        policy(server, b"paused=1")
        worker = server.connect().can_do(b"f", *(b"%d" % n for n in range(40)))
        fill(server)
        assert started(worker) == 0
        fill(server, 1, b"7")
        assert started(worker) == 1
        assert worker.send(Command.PRE_SLEEP) == []
        policy(server, b"paused=0")
        assert worker.got() == [NOOP]
        assert started(worker) == 10

    def test_jobs_that_run_go_on(self, server):
        worker = server.connect().can_do()
        client = server.connect()
        handle = client.submit()
        taken(server, worker)
        policy(server, b"paused=1")
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")]

    def test_job_that_comes_back_to_a_paused_function_stays_there(self, server):
        worker = server.connect().can_do()
        submit(server.connect(), b"retries=3&backoff=fixed:0")
        handle = taken(server, worker)
        policy(server, b"paused=1")
        worker.send(Command.WORK_FAIL, handle)
        assert worker.grab() is None

    def test_function_without_jobs_is_resumed_silently(self, server):
        policy(server, b"paused=1")
        worker = server.worker()
        policy(server, b"paused=0")
        assert worker.got() == []

    def test_sleeping_worker_of_a_new_function_that_is_paused_sleeps_on(self, server):
        policy(server, b"paused=1")
        fill(server)
        worker = server.worker(b"g")
        worker.can_do(b"f")
        assert worker.got() == []


class TestMaxRunning:
    def test_no_more_than_so_many_run(self, server):
        policy(server, b"max-running=3")
        worker = server.connect().can_do()
        fill(server)
        assert started(worker) == 3
        assert worker.send(Command.PRE_SLEEP) == []

    @pytest.mark.parametrize("end", ["done", "failed", "again", "cancelled", "lost"])
    def test_next_job_starts_when_one_has_ended(self, server, end):
        policy(server, b"max-running=1")
        worker, other = server.connect().can_do(), server.worker()
        fill(server)
        handle = taken(server, worker)
        assert other.send(Command.GRAB_JOB) == [NOOP, NO_JOB]
        other.send(Command.PRE_SLEEP)
        if end == "done":
            worker.send(Command.WORK_COMPLETE, handle, b"")
        elif end == "failed":
            worker.send(Command.WORK_FAIL, handle)
        elif end == "again":
            worker.send(Command.WORK_RETRY, handle, b"60+", b"")
        elif end == "cancelled":
            server.broker.cancel(handle)
        else:
            worker.leave()
        assert other.got() == [NOOP]
        assert started(other) == 1

    @pytest.mark.parametrize("timeout", [b"timeout=2", b"timeout=2&retries=1"])
    def test_next_job_starts_when_one_was_too_slow(self, server, timeout):
        policy(server, b"max-running=1&" + timeout)
        worker, other = server.connect().can_do(), server.worker()
        fill(server)
        taken(server, worker)
        other.got()
        server.after(2)
        assert started(other) == 1

    def test_cancelled_job_leaves_its_place_before_its_worker_has_ended_it(
        self, server
    ):
        policy(server, b"max-running=1")
        worker = extended(server)
        fill(server)
        handle = taken(server, worker)
        server.broker.cancel(handle)
        assert started(worker) == 1
        assert worker.send(Command.WORK_COMPLETE, handle, b"") == []
        assert started(worker) == 0

    def test_higher_limit_counts_at_once(self, server):
        policy(server, b"max-running=1")
        worker = server.connect().can_do()
        fill(server)
        assert started(worker) == 1
        worker.send(Command.PRE_SLEEP)
        policy(server, b"max-running=3")
        assert worker.got() == [NOOP]
        assert started(worker) == 2

    def test_lower_limit_ends_no_job_and_lets_none_start(self, server):
        policy(server, b"max-running=3")
        worker = server.connect().can_do()
        fill(server)
        handles = [taken(server, worker) for _ in range(3)]
        policy(server, b"max-running=1")
        for handle in handles[:2]:
            worker.send(Command.WORK_COMPLETE, handle, b"")
            assert started(worker) == 0
        worker.send(Command.WORK_COMPLETE, handles[2], b"")
        assert started(worker) == 1

    def test_limit_that_is_unset_holds_nothing_back(self, server):
        policy(server, b"max-running=1")
        worker = server.connect().can_do()
        fill(server)
        taken(server, worker)
        server.broker.policies.unset(b"f")
        assert started(worker) == 9

    def test_jobs_that_ran_before_the_policy_count(self, server):
        worker = server.connect().can_do()
        fill(server)
        taken(server, worker)
        policy(server, b"max-running=2")
        assert started(worker) == 1

    def test_priority_decides_which_job_starts_next(self, server):
        policy(server, b"max-running=1")
        worker, client = server.connect().can_do(), server.connect()
        client.submit()
        handle = taken(server, worker)
        client.submit(workload=b"n")
        client.submit(workload=b"h", command=Command.SUBMIT_JOB_HIGH)
        client.got()
        worker.send(Command.WORK_COMPLETE, handle, b"")
        assert worker.grab_workload() == b"h"

    def test_function_with_a_limit_is_not_forgotten(self, make_server):
        server = make_server()
        server.broker.limits.functions = 1
        policy(server, b"max-running=1")
        server.broker.functions.of(b"f")
        packets = server.connect().send(Command.SUBMIT_JOB, b"g", b"", b"w")
        assert packets[0][0] == Command.ERROR


class TestRate:
    def starts(self, server, worker, step, seconds):
        """Take what may be taken, every `step`; return the times of the starts."""
        times = []
        for n in range(int(seconds / step)):
            times += [n * step] * started(worker)
            server.after(step)
        return times

    def test_no_more_than_so_many_start_in_any_second(self, server):
        policy(server, b"rate=3/s")
        worker = server.connect().can_do()
        fill(server, 30)
        times = self.starts(server, worker, 0.25, 6)
        assert times == [n for n in range(6) for _ in range(3)]

    @pytest.mark.parametrize(("unit", "seconds"), [(b"s", 1), (b"m", 60), (b"h", 3600)])
    def test_window_has_the_length_of_its_unit(self, server, unit, seconds):
        policy(server, b"rate=2/" + unit)
        worker = server.connect().can_do()
        fill(server)
        assert started(worker) == 2
        assert server.after(seconds * 0.999) == pytest.approx(seconds * 0.001, rel=0.1)
        assert started(worker) == 0
        server.after(seconds * 0.001)
        assert started(worker) == 2

    def test_every_window_counts_and_not_only_those_of_the_clock(self, server):
        policy(server, b"rate=2/s")
        worker = server.connect().can_do()
        fill(server)
        server.after(0.9)
        taken(server, worker)
        server.after(0.09)
        taken(server, worker)
        server.after(0.9)
        assert started(worker) == 0
        server.after(0.02)
        assert started(worker) == 1
        assert worker.grab() is None

    @pytest.mark.parametrize(("rate", "gap"), [(b"0.5/s", 2), (b"0.1/m", 600)])
    def test_fraction_of_a_job_takes_longer(self, server, rate, gap):
        policy(server, b"rate=" + rate)
        worker = server.connect().can_do()
        fill(server)
        assert started(worker) == 1
        server.after(gap * 0.99)
        assert started(worker) == 0
        server.after(gap * 0.011)
        assert started(worker) == 1

    def test_rate_above_one_is_never_exceeded_by_its_fraction(self, server):
        policy(server, b"rate=2.5/s")
        worker = server.connect().can_do()
        fill(server)
        assert started(worker) == 2
        server.after(0.8)
        assert started(worker) == 0

    def test_workers_are_woken_when_jobs_may_start_again(self, server):
        policy(server, b"rate=1/s")
        worker = server.worker()
        fill(server)
        assert worker.got() == [NOOP]
        assert started(worker) == 1
        assert worker.send(Command.PRE_SLEEP) == []
        assert server.after(0.5) == pytest.approx(0.5)
        assert worker.got() == []
        server.after(0.5)
        assert worker.got() == [NOOP]

    def test_costs_nothing_while_nothing_waits(self, server):
        policy(server, b"rate=1/s")
        worker = server.worker()
        fill(server, 1)
        worker.got()
        assert started(worker) == 1
        assert server.after(1) == inf

    def test_starts_at_almost_the_same_time_are_kept_as_one_group(self, server):
        policy(server, b"rate=1000/s")
        worker = server.connect().can_do()
        fill(server, 900)
        for _ in range(900):
            taken(server, worker)
            server.after(0.5 / EXACTNESS / 100)
        limits = server.broker.functions.known[b"f"].starts
        assert len(limits.log) <= 10
        assert limits.started == 900

    def test_many_starts_of_a_long_window_are_kept_in_groups(self, server):
        policy(server, b"rate=100000/h")
        worker = server.connect().can_do()
        fill(server, 5000)
        for _ in range(5000):
            taken(server, worker)
            server.after(2)
        limits = server.broker.functions.known[b"f"].starts
        assert len(limits.log) <= EXACTNESS
        assert limits.started == pytest.approx(1800, abs=5)

    def test_job_that_is_tried_again_counts_again(self, server):
        policy(server, b"rate=2/s&retries=9&backoff=fixed:0")
        worker = server.connect().can_do()
        fill(server, 1)
        for _ in range(2):
            worker.send(Command.WORK_FAIL, taken(server, worker))
        assert worker.grab() is None
        server.after(1)
        assert worker.grab() is not None

    def test_lower_rate_counts_what_has_started(self, server):
        policy(server, b"rate=4/s")
        worker = server.connect().can_do()
        fill(server)
        assert started(worker) == 4
        policy(server, b"rate=1/s")
        server.after(0.5)
        policy(server, b"rate=5/s")
        assert started(worker) == 1
        policy(server, b"rate=1/s")
        server.after(0.5)
        assert started(worker) == 0
        server.after(0.5)
        assert started(worker) == 1

    def test_end_of_a_window_may_come_while_the_function_is_paused(self, server):
        policy(server, b"rate=1/s")
        worker = server.connect().can_do()
        fill(server)
        assert started(worker) == 1
        policy(server, b"paused=1")
        server.after(2)
        assert started(worker) == 0
        policy(server, b"paused=0")
        assert started(worker) == 1
        server.after(1)
        assert started(worker) == 1

    def test_end_of_a_window_may_come_while_too_many_run(self, server):
        policy(server, b"rate=2/s&max-running=2")
        worker = server.connect().can_do()
        fill(server)
        handles = [taken(server, worker) for _ in range(2)]
        server.after(2)
        assert started(worker) == 0
        worker.send(Command.WORK_COMPLETE, handles[0], b"")
        assert started(worker) == 1

    def test_place_that_is_free_before_the_window_ends_stays_free(self, server):
        policy(server, b"rate=1/s&max-running=1")
        worker = server.connect().can_do()
        fill(server)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        assert started(worker) == 0
        server.after(1)
        assert started(worker) == 1

    def test_function_that_was_dropped_is_not_woken(self, server):
        policy(server, b"rate=1/s")
        worker = server.connect().can_do()
        fill(server, 1)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        worker.leave()
        assert server.broker.functions.drop(b"f")
        assert server.after(5) == inf
        fill(server, 1)
        assert server.connect().can_do().grab() is not None
