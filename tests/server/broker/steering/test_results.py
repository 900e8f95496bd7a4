"""Kept results, and what clients hear of jobs that they did not submit."""

from math import inf

import pytest

from gearman.commands import Command
from gearman.server.broker.constants import SWEEP
from gearman.server.broker.steering.results import (
    GROUP_SIZE,
    MANY_RESULTS,
    MAX_RESULTS,
    RESULT_MEMORY,
)
from tests.server.broker.steered import (
    RUNS,
    UNKNOWN,
    WAITS,
    Store,
    background,
    policy,
    result,
    submit,
    taken,
)

KEEP = b"keep=100"
NOT_FOUND = (
    Command.ERROR,
    b"JOB_NOT_FOUND",
    b"There is no such job, nor its result",
)


def done(server, worker, options=KEEP, data=b"re\0sult", **others) -> bytes:
    handle = background(server.connect(), options, **others)
    worker.send(Command.WORK_COMPLETE, taken(server, worker), data)
    return handle


def drop_all(server) -> None:
    """Let turns go by until nothing is to be dropped."""
    while server.broker.results.first <= server.wall:
        server.after(0)


@pytest.fixture
def worker(server):
    return server.connect().can_do()


@pytest.fixture
def client(server):
    return server.connect()


class TestKeeping:
    def test_result_is_kept_for_so_many_seconds(self, server, client, worker):
        handle = done(server, worker)
        assert server.after(99.9) == pytest.approx(0.1)
        assert result(client, handle) == (b"done", b"re\0sult")
        assert result(client, handle) == (b"done", b"re\0sult")
        assert server.after(0.1) == inf
        assert result(client, handle) == UNKNOWN
        assert server.broker.memory.jobs == 0

    def test_policy_keeps_results_of_all_clients(self, server, client, worker):
        policy(server, KEEP)
        handle = client.submit(command=Command.SUBMIT_JOB_BG)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"r")
        assert result(client, handle) == (b"done", b"r")

    @pytest.mark.parametrize("options", [b"", b"keep=0"])
    def test_other_results_are_not_kept(self, server, client, worker, options):
        if options:
            policy(server, KEEP)
        assert result(client, done(server, worker, options)) == UNKNOWN

    def test_result_of_a_foreground_job_is_not_kept(self, server, client, worker):
        policy(server, KEEP)
        handle = submit(client)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"r")
        assert result(client, handle) == UNKNOWN

    def test_failure_is_kept_with_its_reason(self, server, client, worker):
        handle = background(client, KEEP)
        worker.send(Command.WORK_FAIL, taken(server, worker))
        assert result(client, handle) == (b"failed", b"its worker sent WORK_FAIL")

    def test_exception_is_kept(self, server, client, worker):
        handle = background(client, KEEP)
        worker.send(Command.WORK_EXCEPTION, taken(server, worker), b"e\0e")
        assert result(client, handle) == (b"exception", b"e\0e")

    def test_expiry_is_kept(self, server, client):
        handle = background(client, b"ttl=5&" + KEEP)
        server.after(5)
        assert result(client, handle)[0] == b"failed"

    def test_failure_that_is_tried_again_is_no_end(self, server, client, worker):
        handle = background(client, b"retries=1&backoff=fixed:9&" + KEEP)
        worker.send(Command.WORK_FAIL, taken(server, worker))
        assert result(client, handle) == WAITS

    def test_dead_job_tells_its_exception_or_its_reason(self, server, client, worker):
        handle = background(client, b"dead=list&" + KEEP)
        other = background(client, b"dead=list&" + KEEP)
        worker.send(Command.WORK_EXCEPTION, taken(server, worker), b"e")
        worker.send(Command.WORK_FAIL, taken(server, worker))
        assert result(client, handle) == (b"exception", b"e")
        assert result(client, other) == (b"failed", b"its worker sent WORK_FAIL")
        assert server.broker.results.known == {}

    def test_cancelled_job_leaves_no_result(self, server, client, worker):
        handle = background(client, KEEP)
        server.broker.cancel(handle)
        assert result(client, handle) == UNKNOWN

    def test_late_result_is_kept(self, server, client, worker):
        handle = background(client, b"retries=1&timeout=5&" + KEEP)
        taken(server, worker)
        server.after(5)
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        assert result(client, handle) == (b"done", b"r")

    def test_result_of_the_other_function_is_kept_under_the_handle(
        self, server, client, worker
    ):
        policy(server, KEEP, b"g")
        handle = background(client, b"dead=function:g")
        worker.send(Command.WORK_FAIL, taken(server, worker))
        worker.can_do(b"g")
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"saved")
        assert result(client, handle) == (b"done", b"saved")


class TestLimits:
    def test_there_is_a_limit(self, server):
        assert server.broker.results.most == MAX_RESULTS

    def test_oldest_result_goes_when_all_take_too_much(self, server, client, worker):
        server.broker.results.most = 2 * (RESULT_MEMORY + 101)
        handles = [done(server, worker, data=b"r" * 100) for _ in range(3)]
        assert [result(client, handle)[0] for handle in handles] == [
            *(b"unknown", b"done", b"done"),
        ]
        assert server.broker.memory.jobs == server.broker.results.total

    def test_result_over_the_limit_is_not_kept(self, server, client, worker):
        server.broker.results.most = RESULT_MEMORY + 100
        small = done(server, worker, data=b"r")
        large = done(server, worker, data=b"r" * 100)
        assert result(client, small) == (b"done", b"r")
        assert result(client, large) == UNKNOWN

    def test_results_expire_in_the_order_of_their_times(self, server, client, worker):
        first = done(server, worker, b"keep=20")
        second = done(server, worker, b"keep=10")
        assert server.after(0) == pytest.approx(10)
        server.after(10)
        assert result(client, second) == UNKNOWN
        assert result(client, first)[0] == b"done"
        server.after(10)
        assert result(client, first) == UNKNOWN

    def test_results_within_a_thousandth_of_their_time_go_together(
        self, server, client, worker
    ):
        handles = [done(server, worker, b"keep=1000")]
        for pause in (0.5, 2):
            server.after(pause)
            handles.append(done(server, worker, b"keep=1000"))
        server.after(997.5)
        assert [result(client, handle)[0] for handle in handles] == [
            *(b"unknown", b"unknown", b"done"),
        ]

    def test_very_many_results_are_dropped_in_several_turns(self, server, worker):
        for _ in range(MANY_RESULTS + 3):
            done(server, worker)
        assert server.after(100) <= 0
        assert len(server.broker.results.known) == 3
        assert server.after(0) == inf

    @pytest.mark.parametrize("keep", [b"keep=%d", b"keep=%d00000"])
    def test_groups_that_are_over_are_not_kept_for_long(self, server, worker, keep):
        results = server.broker.results
        results.most = 2 * (RESULT_MEMORY + 8)
        for number in range(20 * SWEEP):
            done(server, worker, keep % (5 + number % 7))
            server.after(1)
        running = 7
        assert len(results._groups) + len(results._ends) <= 4 * running + SWEEP + 2

    def test_groups_behind_an_old_one_are_not_kept_for_long(self, server, worker):
        results = server.broker.results
        done(server, worker, b"keep=1000000")
        for _ in range(20 * SWEEP):
            done(server, worker, b"keep=10")
            server.after(20)
        assert len(results._groups) <= SWEEP + 8

    def test_many_results_of_different_times_go_in_the_order_they_came(
        self, server, client, worker
    ):
        results = server.broker.results
        for number in range(3 * MANY_RESULTS):
            done(server, worker, b"keep=%d" % (3000 - number % 7))
        last = [done(server, worker, b"keep=100") for _ in range(2)]
        results.keep_at_most(2 * (RESULT_MEMORY + 8))
        drop_all(server)
        assert [result(client, handle)[0] for handle in last] == [b"done", b"done"]
        assert len(results.known) == 2
        assert len(results._groups) == 1

    def test_lower_limit_drops_many_results_in_several_turns(self, server, worker):
        results = server.broker.results
        for _ in range(3 * MANY_RESULTS):
            done(server, worker, b"keep=100")
        results.keep_at_most(0)
        assert len(results.known) == 2 * MANY_RESULTS
        assert server.after(0) == 0
        assert len(results.known) == MANY_RESULTS
        assert server.after(0) > 0
        assert (results.known, results.total) == ({}, 0)

    def test_new_result_does_not_stop_the_dropping_of_others(self, server, worker):
        results = server.broker.results
        for _ in range(3 * MANY_RESULTS):
            done(server, worker, b"keep=100")
        results.keep_at_most(2 * (RESULT_MEMORY + 8))
        server.after(50)
        last = done(server, worker, b"keep=100")
        drop_all(server)
        assert len(results.known) == 2
        assert results.find(last) is not None

    def test_results_that_went_before_older_ones_are_passed_over(self, server, worker):
        done(server, worker, b"keep=1000")
        done(server, worker, b"keep=10")
        server.after(20)
        done(server, worker, b"keep=1000")
        server.broker.results.keep_at_most(0)
        assert server.broker.results.known == {}
        assert not server.broker.results._groups

    def test_group_has_a_limit(self, server, worker):
        results = server.broker.results
        for _ in range(GROUP_SIZE + 1):
            done(server, worker)
        assert [len(group) for group in results._groups] == [GROUP_SIZE, 1]

    def test_rest_of_a_group_is_dropped_in_its_time(self, server, client, worker):
        results = server.broker.results
        first, *others = [done(server, worker) for _ in range(3)]
        results.keep_at_most(2 * (RESULT_MEMORY + 9))
        states = [result(client, handle)[0] for handle in (first, *others)]
        assert states == [b"unknown", b"done", b"done"]
        assert server.after(100) == inf
        assert results.known == {}
        assert results.total == 0

    def test_results_of_a_group_that_is_dropped_are_in_another_one(
        self, server, client, worker
    ):
        results, size = server.broker.results, RESULT_MEMORY + 8
        for number in range(20):
            done(server, worker, b"keep=%d" % (9000 - 20 * number))
        results.keep_at_most(0)
        results.keep_at_most(MAX_RESULTS)
        for _ in range(GROUP_SIZE):
            done(server, worker, b"keep=10000")
        results.keep_at_most((GROUP_SIZE - 25) * size)
        results.keep_at_most(MAX_RESULTS)
        assert server.after(10000) <= 0
        # The clock of the system is set back.
        server.after(-10000)
        handles = [done(server, worker, b"keep=10000") for _ in range(2)]
        results.keep_at_most(size)
        states = [result(client, handle)[0] for handle in handles]
        assert states == [b"unknown", b"done"]

    def test_results_of_shards_that_leave_are_forgotten(self, server, client, worker):
        results = server.broker.results
        for keep in (b"keep=100", b"keep=200"):
            handles = [done(server, worker, keep) for _ in range(4)]
        first, *others = results.known
        results.keep_at_most(results.total - 1)
        results.leave({number % 64 for number in others[:5]})
        assert list(results.known) == others[5:]
        assert result(client, handles[-1])[0] == b"done"
        assert results.total == server.broker.memory.jobs
        assert server.after(200) == inf
        assert results.known == {}

    def test_time_of_a_result_that_went_early_drops_nothing_else(
        self, server, client, worker
    ):
        server.broker.results.most = RESULT_MEMORY + 20
        done(server, worker, b"keep=10")
        handle = done(server, worker, b"keep=20")
        server.after(10)
        assert result(client, handle)[0] == b"done"


class TestAsking:
    def test_for_a_job_that_waits_or_runs(self, server, client, worker):
        handle = background(client, KEEP)
        assert result(client, handle) == WAITS
        taken(server, worker)
        assert result(client, handle) == RUNS

    @pytest.mark.parametrize("options", [b"delay=9", b"after=H:test:1"])
    def test_for_a_job_that_waits_for_something(self, server, client, options):
        client.submit()
        assert result(client, background(client, options)) == WAITS

    @pytest.mark.parametrize(
        "handle", [b"", b"x", b"H:test:9", b"H:else:1", b"H:test:" + b"9" * 19]
    )
    def test_for_other_handles(self, server, client, worker, handle):
        done(server, worker)
        assert result(client, handle) == UNKNOWN
        assert client.send(Command.GET_STATUS, handle)[0][2:] == (b"0",) * 4


class TestWatching:
    def test_job_that_waits(self, server, client, worker):
        handle = background(server.connect())
        assert client.send(Command.WATCH_JOB, handle) == []
        taken(server, worker)
        worker.send(Command.WORK_DATA, handle, b"d")
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        assert client.got() == [
            (Command.WORK_DATA, handle, b"d"),
            (Command.WORK_COMPLETE, handle, b"r"),
        ]

    def test_job_that_runs(self, server, client, worker):
        handle = background(server.connect())
        taken(server, worker)
        client.send(Command.WATCH_JOB, handle)
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")]

    def test_foreground_job_of_another_client_goes_on_for_the_watcher(
        self, server, client, worker
    ):
        other = server.connect()
        handle = other.submit()
        client.send(Command.WATCH_JOB, handle)
        other.leave()
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"r")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")]

    def test_own_job_is_told_twice(self, server, client, worker):
        handle = client.submit()
        client.send(Command.WATCH_JOB, handle)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"r")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")] * 2

    def test_kept_result_is_told_at_once(self, server, client, worker):
        handle = done(server, worker)
        assert client.send(Command.WATCH_JOB, handle) == [
            (Command.WORK_COMPLETE, handle, b"re\0sult")
        ]

    @pytest.mark.parametrize("options", [KEEP, b"dead=list"])
    def test_kept_failure_is_told_at_once(self, server, client, worker, options):
        handle = background(client, options)
        worker.send(Command.WORK_FAIL, taken(server, worker))
        assert client.send(Command.WATCH_JOB, handle) == [(Command.WORK_FAIL, handle)]

    @pytest.mark.parametrize("options", [KEEP, b"dead=list"])
    def test_kept_exception_is_told_to_those_who_asked_for_exceptions(
        self, server, client, worker, options
    ):
        handle = background(client, options)
        worker.send(Command.WORK_EXCEPTION, taken(server, worker), b"e")
        assert client.send(Command.WATCH_JOB, handle) == [(Command.WORK_FAIL, handle)]
        client.send(Command.OPTION_REQ, b"exceptions")
        assert client.send(Command.WATCH_JOB, handle) == [
            (Command.WORK_EXCEPTION, handle, b"e")
        ]

    @pytest.mark.parametrize("handle", [b"", b"x", b"H:test:9"])
    def test_unknown_job_is_refused(self, client, handle):
        assert client.send(Command.WATCH_JOB, handle) == [NOT_FOUND]

    def test_job_that_is_not_stored_yet_is_refused(self, make_server):
        server = make_server(persistent=True)
        client = server.connect()
        client.send(Command.SUBMIT_JOB_BG, b"f", b"", b"w")
        other = server.connect()
        assert other.send(Command.WATCH_JOB, b"H:test:1") == [NOT_FOUND]

    def test_watcher_of_a_job_that_goes_on_waits(self, server, client, worker):
        handle = background(server.connect(), b"retries=1&backoff=fixed:9")
        client.send(Command.WATCH_JOB, handle)
        worker.send(Command.WORK_FAIL, taken(server, worker))
        assert client.got() == []
        server.after(9)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"r")
        assert client.got() == [(Command.WORK_COMPLETE, handle, b"r")]


class TestStore:
    @pytest.fixture
    def server(self, make_server):
        return make_server(persistent=True)

    @pytest.fixture
    def store(self):
        return Store()

    def ended(self, server, store, worker, options=KEEP, data=b"re\0sult"):
        """Have a stored job end; its end is not stored yet."""
        client = server.connect()
        options = b"background=1&" + options
        client.send(Command.SUBMIT_JOB_WITH, b"f", b"", options, b"w")
        store.commit(server)
        ((_, handle),) = client.got()
        worker.send(Command.WORK_COMPLETE, taken(server, worker), data)
        return handle

    def test_result_is_told_when_it_is_stored(self, server, client, store, worker):
        handle = self.ended(server, store, worker)
        assert result(client, handle) == RUNS
        store.commit(server)
        assert result(client, handle) == (b"done", b"re\0sult")

    def test_those_who_watch_hear_of_it_before(self, server, client, store, worker):
        handle = self.ended(server, store, worker)
        assert client.send(Command.WATCH_JOB, handle) == [
            (Command.WORK_COMPLETE, handle, b"re\0sult")
        ]

    def test_result_outlives_a_restart(self, server, client, store, worker):
        handle = self.ended(server, store, worker)
        store.commit(server)
        again = store.restart(99.9)
        client = again.connect()
        assert result(client, handle) == (b"done", b"re\0sult")
        assert again.broker.jobs.known == {}
        again.after(0.1)
        assert result(client, handle) == UNKNOWN
        store.commit(again)
        assert store.rows == {}

    def test_result_of_a_commit_that_failed_is_told_later(
        self, server, client, store, worker
    ):
        handle = self.ended(server, store, worker)
        numbers = [record.number for record in server.broker.jobs.records]
        server.broker.jobs.records.clear()
        server.broker.stored.record_again(numbers)
        assert result(client, handle) == RUNS
        store.commit(server)
        assert result(client, handle) == (b"done", b"re\0sult")

    def test_result_that_went_before_it_was_stored_is_not_told(
        self, server, client, store, worker
    ):
        server.broker.results.most = RESULT_MEMORY + 8
        first = self.ended(server, store, worker)
        second = self.ended(server, store, worker)
        store.commit(server)
        assert result(client, first) == UNKNOWN
        assert result(client, second) == (b"done", b"re\0sult")
        assert list(store.rows) == [2]

    def test_result_that_is_too_large_leaves_nothing(
        self, server, client, store, worker
    ):
        server.broker.results.most = RESULT_MEMORY
        handle = self.ended(server, store, worker)
        store.commit(server)
        assert store.rows == {}
        assert result(client, handle) == UNKNOWN

    def test_result_over_a_lower_limit_is_removed(self, server, store, worker):
        self.ended(server, store, worker)
        store.commit(server)
        again = store.restart()
        again = type(server)(persistent=True)
        again.broker.results.most = RESULT_MEMORY
        for number, row in store.rows.items():
            again.broker.stored.restore(number, *row)
        assert again.broker.results.known == {}
        store.commit(again)
        assert store.rows == {}

    def test_numbers_of_other_records_are_ignored(self, server):
        server.broker.stored.recorded([1, 2])
        assert server.broker.results.known == {}
