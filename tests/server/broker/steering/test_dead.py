"""Background jobs that were given up: the dead list, and other functions for them."""

from math import inf

import pytest

from gearman.commands import Command
from gearman.server.broker.steering.attempts import MAX_ERROR
from gearman.server.broker.steering.dead import DEAD_AGE, MANY_OLD, MAX_DEAD
from tests.server.broker.steered import (
    NOOP,
    UNKNOWN,
    WAITS,
    Store,
    background,
    policy,
    result,
    submit,
    taken,
)

LIST = b"dead=list"


def die(server, worker, options=LIST, error=None, **others) -> bytes:
    """Have a background job die, and return its handle."""
    handle = background(server.connect(), options, **others)
    fail(server, worker, error)
    return handle


def fail(server, worker, error=None) -> bytes:
    handle = taken(server, worker)
    if error is None:
        worker.send(Command.WORK_FAIL, handle)
    else:
        worker.send(Command.WORK_EXCEPTION, handle, error)
    return handle


def handles(server, name: bytes = b"f", most: int = 1000) -> list[bytes]:
    return [job.handle for job in server.broker.dead.of(name, most)]


@pytest.fixture
def worker(server):
    return server.connect().can_do(b"f", b"g", b"h")


class TestList:
    def test_dead_job_is_kept_with_its_history(self, server, worker):
        client = server.connect()
        options = b"retries=1&backoff=fixed:0&" + LIST
        handle = background(client, options, workload=b"work", unique=b"u")
        submitted = server.wall
        fail(server, worker)
        server.after(5)
        fail(server, worker, b"last words")
        job = server.broker.dead.find(handle)
        assert (job.function.name, job.workload, job.unique) == (b"f", b"work", b"u")
        extra = job.extra
        assert (extra.attempts, extra.submitted, extra.died) == (
            *(2, submitted, server.wall),
        )
        assert extra.reason == b"its worker sent WORK_EXCEPTION"
        assert extra.error == b"last words"

    def test_policy_sends_jobs_to_the_list(self, server, worker):
        policy(server, LIST)
        client = server.connect()
        handle = client.submit(command=Command.SUBMIT_JOB_BG)
        fail(server, worker)
        assert handles(server) == [handle]
        assert server.broker.dead.known[1].extra.submitted == server.wall

    @pytest.mark.parametrize("options", [b"", b"dead=none"])
    def test_other_jobs_are_not_kept(self, server, worker, options):
        if options:
            policy(server, LIST)
        die(server, worker, options)
        assert server.broker.dead.known == {}
        assert server.broker.jobs.known == {}

    def test_foreground_job_is_not_kept(self, server, worker):
        policy(server, LIST)
        submit(server.connect())
        fail(server, worker)
        assert server.broker.dead.known == {}

    def test_foreground_job_that_was_made_a_background_job_is_kept(
        self, server, worker
    ):
        policy(server, LIST)
        client = server.connect()
        handle = client.submit(unique=b"u")
        assert client.submit(unique=b"u", command=Command.SUBMIT_JOB_BG) == handle
        fail(server, worker)
        assert client.got() == [(Command.WORK_FAIL, handle)]
        assert handles(server) == [handle]

    def test_dead_job_is_no_job_of_its_function(self, server, worker):
        handle = die(server, worker)
        client = server.connect()
        worker.leave()
        assert b"f\t0\t0\t0\n" in client.ask(b"status")
        assert client.send(Command.GET_STATUS, handle)[0][2:] == (b"0",) * 4
        assert not server.broker.cancel(handle)
        assert client.ask(b"drop function f") == b"OK\r\n"

    def test_unique_of_a_dead_job_is_free(self, server, worker):
        handle = die(server, worker, unique=b"u")
        assert server.connect().submit(unique=b"u") != handle

    def test_long_exception_is_kept_in_part(self, server, worker):
        handle = die(server, worker, error=b"e" * (MAX_ERROR + 1))
        assert result(server.connect(), handle) == (b"exception", b"e" * MAX_ERROR)

    def test_jobs_are_listed_by_function_the_oldest_first(self, server, worker):
        found = [die(server, worker) for _ in range(4)]
        other = die(server, worker, name=b"g")
        assert handles(server) == found
        assert handles(server, most=2) == found[:2]
        assert handles(server, b"g") == [other]
        assert handles(server, b"h") == []

    @pytest.mark.parametrize("handle", [b"", b"x", b"H:test:9", b"H:else:1"])
    def test_other_handles_are_not_found(self, server, worker, handle):
        die(server, worker)
        assert server.broker.dead.find(handle) is None


class TestLimits:
    def test_there_are_limits(self, server):
        dead = server.broker.dead
        assert (dead.most, dead.age) == (MAX_DEAD, DEAD_AGE)

    def test_oldest_goes_when_there_are_too_many(self, server, worker):
        server.broker.dead.most = 2
        found = [die(server, worker) for _ in range(3)]
        assert handles(server) == found[1:]

    @pytest.mark.parametrize("most", [0, -1])
    def test_list_may_be_switched_off(self, server, worker, most):
        server.broker.dead.most = most
        die(server, worker)
        assert server.broker.dead.known == {}
        assert server.broker.memory.jobs == 0

    def test_old_ones_are_dropped_in_time(self, server, worker):
        server.broker.dead.age = 100.0
        first = die(server, worker)
        server.after(10)
        second = die(server, worker)
        assert server.broker.delay() == pytest.approx(90)
        assert server.after(89) == pytest.approx(1)
        assert handles(server) == [first, second]
        assert server.after(1) == pytest.approx(10)
        assert handles(server) == [second]
        assert server.after(10) == inf
        assert handles(server) == []

    def test_very_many_old_ones_are_dropped_in_several_turns(self, server, worker):
        policy(server, LIST)
        server.broker.dead.age = 100.0
        for _ in range(MANY_OLD + 3):
            die(server, worker)
        assert server.after(100) <= 0
        assert len(server.broker.dead.known) == 3
        assert server.after(0) == inf

    def test_lower_limit_drops_many_jobs_in_several_turns(self, server, worker):
        policy(server, LIST)
        found = [die(server, worker) for _ in range(2 * MANY_OLD + 2)]
        server.broker.dead.keep_at_most(2)
        assert len(server.broker.dead.known) == MANY_OLD + 2
        server.after(0)
        assert server.broker.delay() > 0
        assert handles(server) == found[-2:]

    def test_queue_does_not_keep_the_workload_of_a_dropped_job(self, server):
        client = server.connect()
        client.submit()
        handle = background(client, b"ttl=5&" + LIST)
        server.after(5)
        job = server.broker.dead.find(handle)
        server.broker.dead.forget(job)
        assert job.workload == b""

    def test_nothing_is_left_of_dropped_jobs(self, server, worker):
        for handle in (die(server, worker, unique=b"u"), die(server, worker)):
            server.broker.dead.forget(server.broker.dead.find(handle))
            assert result(server.connect(), handle) == UNKNOWN
        assert server.broker.memory.jobs == 0
        assert server.broker.dead.by_function == {}


class TestReviving:
    def test_revived_job_has_all_its_attempts(self, server, worker):
        options = b"retries=1&backoff=fixed:0&" + LIST
        handle = background(server.connect(), options)
        for _ in range(2):
            fail(server, worker)
            fail(server, worker, b"e")
            (job,) = server.broker.dead.known.values()
            server.broker.dead.revive(job)
            assert handles(server) == []
            assert result(server.connect(), handle) == WAITS
        assert worker.grab() == handle

    def test_worker_is_woken_for_it(self, server, worker):
        handle = die(server, worker)
        assert worker.send(Command.PRE_SLEEP) == []
        server.broker.dead.revive(server.broker.dead.find(handle))
        assert worker.got() == [NOOP]
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        assert server.broker.memory.jobs == 0

    def test_workers_that_were_lost_with_it_are_forgotten(self, make_server):
        server = make_server(retries=2)
        handle = background(server.connect(), LIST)
        for _ in range(2):
            for _ in range(2):
                worker = server.connect().can_do()
                assert taken(server, worker) == handle
                worker.leave()
            server.broker.dead.revive(server.broker.dead.find(handle))

    def test_submission_with_its_unique_joins_it(self, server, worker):
        handle = die(server, worker, unique=b"u")
        server.broker.dead.revive(server.broker.dead.find(handle))
        assert server.connect().submit(unique=b"u") == handle

    def test_expired_job_has_all_time(self, server, worker):
        handle = background(server.connect(), b"ttl=5&" + LIST)
        server.after(5)
        server.broker.dead.revive(server.broker.dead.find(handle))
        server.after(50)
        assert worker.grab() == handle

    def test_expired_job_from_the_middle_of_a_queue_runs_once(self, server, worker):
        client = server.connect()
        others = [client.submit(), client.submit()]
        client.got()
        handle = background(client, b"ttl=5&" + LIST)
        server.after(5)
        server.broker.dead.revive(server.broker.dead.find(handle))
        assert [worker.grab() for _ in range(4)] == [*others, handle, None]

    def test_queue_does_not_keep_the_workload_of_the_dead_job(self, server):
        server.connect().submit()
        handle = background(server.connect(), b"ttl=5&" + LIST, workload=b"work")
        server.after(5)
        job = server.broker.dead.find(handle)
        server.broker.dead.revive(job)
        assert job.workload == b""
        assert server.broker.jobs.find(handle).workload == b"work"

    def test_function_may_have_been_dropped(self, server, worker):
        handle = die(server, worker)
        worker.leave()
        server.broker.functions.drop(b"f")
        server.broker.dead.revive(server.broker.dead.find(handle))
        assert server.connect().can_do().grab() == handle

    def test_job_with_a_reducer_keeps_it(self, server, worker):
        policy(server, LIST)
        client = server.connect()
        arguments = (b"f", b"", b"red", b"", b"w")
        client.send(Command.SUBMIT_REDUCE_JOB_BACKGROUND, *arguments)
        handle = fail(server, worker)
        memory = server.broker.memory.jobs
        server.broker.dead.revive(server.broker.dead.find(handle))
        ((answer, *found),) = worker.send(Command.GRAB_JOB_ALL)
        assert (answer, found) == (
            Command.JOB_ASSIGN_ALL,
            [handle, b"f", b"", b"red", b"w"],
        )
        assert memory > server.broker.memory.jobs


class TestOtherFunction:
    def test_job_goes_there_with_its_handle_and_workload(self, server, worker):
        handle = die(server, worker, b"dead=function:g", workload=b"work")
        ((answer, *found),) = worker.send(Command.GRAB_JOB)
        assert (answer, found) == (Command.JOB_ASSIGN, [handle, b"g", b"work"])
        worker.send(Command.WORK_COMPLETE, handle, b"")
        assert server.broker.memory.jobs == 0

    def test_worker_of_it_is_woken(self, server):
        worker, other = server.connect().can_do(), server.worker(b"g")
        die(server, worker, b"dead=function:g")
        assert other.got() == [NOOP]

    def test_clients_hear_of_the_failure_and_nothing_else(self, server, worker):
        client = server.connect()
        handle = background(client, b"dead=function:g")
        client.send(Command.WATCH_JOB, handle)
        fail(server, worker)
        assert client.got() == [(Command.WORK_FAIL, handle)]
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"r")
        assert client.got() == []

    def test_job_keeps_its_priority_unique_and_reducer(self, server, worker):
        policy(server, b"dead=function:g&priority=high")
        client = server.connect()
        arguments = (b"f", b"u", b"red", b"", b"w")
        client.send(Command.SUBMIT_REDUCE_JOB_BACKGROUND, *arguments)
        fail(server, worker)
        (job,) = server.broker.jobs.known.values()
        assert (job.priority, job.unique, job.reducer) == (0, b"u", b"red")
        assert client.submit(b"g", b"u") == job.handle
        assert client.submit(b"f", b"u") != job.handle

    def test_options_of_the_job_do_not_go_with_it(self, server, worker):
        die(server, worker, b"retries=1&backoff=fixed:0&dead=function:g")
        fail(server, worker)
        fail(server, worker)
        assert worker.grab() is None
        assert len(server.broker.dead.known) == 0

    def test_policy_of_the_other_function_counts(self, server, worker):
        policy(server, b"retries=1&backoff=fixed:0&ttl=9", b"g")
        die(server, worker, b"dead=function:g")
        handle = fail(server, worker)
        assert fail(server, worker) == handle
        assert worker.grab() is None

    def test_time_to_live_there_begins_anew(self, server, worker):
        policy(server, b"ttl=9", b"g")
        server.after(20)
        handle = die(server, worker, b"dead=function:g")
        server.after(8)
        assert result(server.connect(), handle) == WAITS
        server.after(1)
        assert result(server.connect(), handle) == UNKNOWN

    @pytest.mark.parametrize("name", [b"f", b"g"])
    def test_job_goes_no_further_than_the_next_function(self, server, worker, name):
        policy(server, b"dead=function:" + name)
        policy(server, b"dead=function:h", b"g")
        handle = die(server, worker, b"")
        fail(server, worker)
        assert worker.grab() is None
        assert handles(server, name) == [handle]

    def test_expired_job_goes_there(self, server, worker):
        handle = background(server.connect(), b"ttl=5&dead=function:g")
        server.after(5)
        assert worker.grab() == handle

    def test_job_of_another_function_in_its_old_place_is_gone(self, server, worker):
        handle = die(server, worker, b"dead=function:g")
        assert handle in [job.handle for job in server.broker.jobs.known.values()]
        (function,) = (job.function.name for job in server.broker.jobs.known.values())
        assert function == b"g"
        assert server.broker.functions.known[b"f"].total() == 0


class TestStore:
    @pytest.fixture
    def server(self, make_server):
        return make_server(persistent=True)

    @pytest.fixture
    def store(self):
        return Store()

    def stored(self, server, store, options, unique=b"u"):
        client = server.connect()
        options = b"background=1&" + options
        client.send(Command.SUBMIT_JOB_WITH, b"f", unique, options, b"w")
        store.commit(server)
        ((_, handle),) = client.got()
        return handle

    def test_dead_job_outlives_a_restart(self, server, store, worker):
        handle = self.stored(server, store, LIST)
        fail(server, worker, b"e\0&=%")
        store.commit(server)
        again = store.restart(10)
        job, old = again.broker.dead.find(handle), server.broker.dead.find(handle)
        for name in ("handle", "unique", "workload", "priority", "when"):
            assert getattr(job, name) == getattr(old, name)
        for name in ("attempts", "submitted", "died", "reason", "error", "options"):
            assert getattr(job.extra, name) == getattr(old.extra, name)
        assert again.broker.jobs.known == {}
        assert again.worker().grab() is None
        assert again.broker.memory.jobs == server.broker.memory.jobs

    def test_restored_jobs_are_in_the_order_of_their_deaths(self, server, store):
        worker = server.connect().can_do()
        for options in (b"retries=1&backoff=fixed:9&" + LIST, LIST):
            self.stored(server, store, options, b"")
            fail(server, worker)
        server.after(9)
        fail(server, worker)
        store.commit(server)
        again = store.restart()
        assert handles(again) == handles(server)
        assert list(again.broker.dead.known) == [2, 1]
        assert again.broker.dead.first == server.broker.dead.first

    def test_revived_job_is_stored_as_one_that_waits(self, server, store, worker):
        handle = self.stored(server, store, LIST)
        fail(server, worker)
        store.commit(server)
        server = store.restart()
        server.broker.dead.revive(server.broker.dead.find(handle))
        store.commit(server)
        server = store.restart()
        assert server.broker.dead.known == {}
        assert server.connect().can_do().grab() == handle

    def test_dropped_job_is_removed(self, server, store, worker):
        handle = self.stored(server, store, LIST)
        fail(server, worker)
        server.broker.dead.forget(server.broker.dead.find(handle))
        store.commit(server)
        assert store.rows == {}

    def test_dead_job_that_the_store_has_lost_is_stored_again(
        self, server, store, worker
    ):
        handle = self.stored(server, store, LIST)
        fail(server, worker)
        store.commit(server)
        server = store.restart()
        memory = server.broker.memory.jobs
        store.rows.clear()
        server.broker.stored.store_again([1, 2])
        store.commit(server)
        assert server.broker.memory.jobs == memory
        assert store.restart().broker.dead.find(handle)

    def test_job_of_another_function_replaces_the_first_one(
        self, server, store, worker
    ):
        handle = self.stored(server, store, b"dead=function:g")
        fail(server, worker)
        store.commit(server)
        (row,) = store.rows.values()
        assert row[:2] == (handle, b"g")
        server = store.restart()
        worker = server.connect().can_do(b"f", b"g")
        assert worker.send(Command.GRAB_JOB)[0][1:3] == (handle, b"g")

    def test_job_of_another_function_is_left_to_the_next_run(
        self, server, store, worker
    ):
        handle = self.stored(server, store, b"dead=function:g")
        assert worker.grab() == handle
        server.broker.stored.shelve()
        worker.send(Command.WORK_FAIL, handle)
        assert server.broker.jobs.known == {}
        assert server.broker.memory.jobs == 0
        store.commit(server)
        assert store.restart().connect().can_do(b"g").grab() == handle

    def test_it_goes_no_further_after_a_restart(self, server, store, worker):
        handle = self.stored(server, store, b"dead=function:g")
        fail(server, worker)
        store.commit(server)
        server = store.restart()
        policy(server, b"dead=function:h", b"g")
        fail(server, server.connect().can_do(b"g"))
        assert handles(server, b"g") == [handle]

    def test_attempts_outlive_a_restart(self, server, store, worker):
        handle = self.stored(server, store, b"retries=1&backoff=fixed:50")
        fail(server, worker)
        store.commit(server)
        server = store.restart(20)
        worker = server.connect().can_do()
        assert worker.grab() is None
        server.after(30)
        fail(server, worker)
        assert result(server.connect(), handle) == UNKNOWN
        store.commit(server)
        assert store.rows == {}
