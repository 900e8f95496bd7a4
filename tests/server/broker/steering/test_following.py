"""Jobs that wait for others to end."""

import pytest

from gearman.commands import Command
from gearman.server.broker.states import AWAITING
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


@pytest.fixture
def client(server):
    return server.connect()


@pytest.fixture
def worker(server):
    return server.connect().can_do(b"first", b"f")


def first(client, options=b"") -> bytes:
    return background(client, options, b"first")


def follows(client, *handles: bytes, options=b"background=1") -> bytes:
    after = b"after=" + b",".join(handles)
    return submit(client, b"&".join(filter(None, (after, options))))


class TestEnds:
    @pytest.mark.parametrize(
        "end", [Command.WORK_COMPLETE, Command.WORK_FAIL, Command.WORK_EXCEPTION]
    )
    def test_job_starts_when_the_other_has_ended(self, server, client, worker, end):
        handle = follows(client, first(client))
        other = taken(server, worker)
        sleeper = server.worker()
        assert sleeper.send(Command.GRAB_JOB)[0][0] == Command.NO_JOB
        sleeper.send(Command.PRE_SLEEP)
        worker.send(end, other, *([] if end == Command.WORK_FAIL else [b"r"]))
        assert sleeper.got() == [NOOP]
        assert sleeper.grab() == handle

    def test_job_starts_when_all_others_have_ended(self, server, client, worker):
        others = [first(client) for _ in range(3)]
        handle = follows(client, *others)
        for other in others:
            assert result(client, handle) == WAITS
            assert taken(server, worker) == other
            worker.send(Command.WORK_COMPLETE, other, b"")
        assert worker.grab() == handle

    def test_attempt_that_failed_is_no_end(self, server, client, worker):
        other = first(client, b"retries=1&backoff=fixed:9")
        handle = follows(client, other)
        worker.send(Command.WORK_FAIL, taken(server, worker))
        assert worker.grab() is None
        server.after(9)
        worker.send(Command.WORK_FAIL, taken(server, worker))
        assert worker.grab() == handle

    @pytest.mark.parametrize(
        "options", [b"dead=list", b"dead=function:g", b"keep=9", b"dead=none"]
    )
    def test_job_starts_when_the_other_was_given_up(
        self, server, client, worker, options
    ):
        handle = follows(client, first(client, options))
        worker.send(Command.WORK_FAIL, taken(server, worker))
        assert worker.grab() == handle

    def test_job_starts_when_the_other_was_cancelled(self, server, client, worker):
        other = first(client)
        handle = follows(client, other)
        server.broker.cancel(other)
        assert worker.grab() == handle

    def test_job_starts_when_the_other_has_expired(self, server, client, worker):
        handle = follows(client, first(client, b"ttl=5"))
        server.after(5)
        assert worker.grab() == handle

    def test_job_starts_when_nobody_wants_the_other(self, server, client, worker):
        other = server.connect()
        handle = follows(client, submit(other, name=b"first"))
        other.leave()
        assert worker.grab() == handle

    def test_many_jobs_may_wait_for_one(self, server, client, worker):
        other = first(client)
        handles = [follows(client, other) for _ in range(5)]
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        assert [worker.grab() for _ in range(5)] == handles


class TestHandles:
    @pytest.mark.parametrize("handle", [b"H:test:1", b"H:test:99", b"H:else:1", b"x"])
    def test_unknown_ones_count_as_ended(self, server, client, worker, handle):
        background(client)
        taken(server, worker)
        worker.send(Command.WORK_COMPLETE, b"H:test:1", b"")
        assert follows(client, handle) == worker.grab()

    def test_own_handle_counts_as_ended(self, server, client, worker):
        assert follows(client, b"H:test:1") == worker.grab()

    def test_handle_of_a_later_job_counts_as_ended(self, server, client, worker):
        handle = follows(client, first(client), b"H:test:3")
        later = first(client)
        assert later == b"H:test:3"
        assert server.broker.cancel(handle)
        assert server.broker.jobs._followers == {}
        assert len(server.broker.jobs.known) == 2

    def test_dead_job_counts_as_ended(self, server, client, worker):
        other = first(client, b"dead=list")
        worker.send(Command.WORK_FAIL, taken(server, worker))
        handle = follows(client, other)
        assert worker.grab() == handle

    def test_handle_may_be_there_twice(self, server, client, worker):
        other = first(client)
        handle = follows(client, other, other)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        assert worker.grab() == handle

    def test_chain_runs_in_its_order(self, server, client, worker):
        handles = [first(client)]
        for _ in range(20):
            handles.append(follows(client, *handles[-2:]))
        for handle in handles:
            assert taken(server, worker) == handle
            assert worker.grab() is None
            worker.send(Command.WORK_COMPLETE, handle, b"")

    def test_end_of_a_chain_starts_when_the_middle_is_cancelled(
        self, server, client, worker
    ):
        one = first(client)
        two = follows(client, one)
        three = follows(client, two)
        server.broker.cancel(two)
        assert {worker.grab(), worker.grab()} == {one, three}


class TestWaiting:
    def test_job_can_be_cancelled(self, server, client, worker):
        handle = follows(client, first(client), options=b"")
        assert server.broker.cancel(handle)
        assert client.got() == [(Command.WORK_FAIL, handle)]
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        assert worker.grab() is None
        assert server.broker.memory.jobs == 0

    def test_one_of_several_that_wait_can_be_cancelled(self, server, client, worker):
        other = first(client)
        one, two = follows(client, other), follows(client, other)
        server.broker.cancel(one)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        assert worker.grab() == two

    def test_job_whose_first_one_has_ended_already_can_be_cancelled(
        self, server, client, worker
    ):
        handle = follows(client, first(client), first(client))
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        server.broker.cancel(handle)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        assert server.broker.jobs.known == {}
        worker.leave()
        client.leave()
        for name in (b"f", b"first"):
            server.broker.functions.drop(name)
        assert server.broker.memory.peers == 0

    def test_foreground_job_is_dropped_with_its_client(self, server, client, worker):
        other = server.connect()
        follows(other, first(client), options=b"")
        other.leave()
        assert len(server.broker.jobs.known) == 1

    def test_submission_joins_it(self, server, client):
        options = b"after=" + first(client)
        handle = submit(client, options, unique=b"u")
        assert client.submit(unique=b"u") == handle

    def test_delay_counts_from_the_submission(self, server, client, worker):
        handle = follows(client, first(client), options=b"background=1&delay=9")
        server.after(5)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        assert worker.grab() is None
        server.after(4)
        assert worker.grab() == handle

    def test_time_to_live_counts_from_the_end_of_the_other(
        self, server, client, worker
    ):
        handle = follows(client, first(client), options=b"background=1&ttl=9")
        server.after(50)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        server.after(8.9)
        assert result(client, handle) == WAITS
        server.after(0.1)
        assert result(client, handle) == UNKNOWN

    def test_policy_that_gives_a_time_to_live_later_counts(
        self, server, client, worker
    ):
        handle = follows(client, first(client))
        policy(server, b"ttl=9")
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        server.after(9)
        assert result(client, handle) == UNKNOWN


class TestStore:
    @pytest.fixture
    def server(self, make_server):
        return make_server(persistent=True)

    @pytest.fixture
    def store(self):
        return Store()

    def submitted(self, server, client, *after: bytes) -> bytes:
        options = b"background=1"
        if after:
            options += b"&after=" + b",".join(after)
        client.send(Command.SUBMIT_JOB_WITH, b"f", b"", options, b"w")
        return b"H:test:%d" % (server.broker.jobs.next_number - 1)

    def test_job_waits_again_after_a_restart(self, server, client, store, worker):
        one = self.submitted(server, client)
        two = self.submitted(server, client, one)
        store.commit(server)
        server = store.restart()
        worker = server.connect().can_do()
        assert taken(server, worker) == one
        assert worker.grab() is None
        worker.send(Command.WORK_COMPLETE, one, b"")
        assert worker.grab() == two

    @pytest.mark.parametrize("how", ["done", "dead"])
    def test_job_starts_if_the_other_has_ended_before_the_restart(
        self, server, client, store, worker, how
    ):
        policy(server, b"dead=list")
        one = self.submitted(server, client)
        two = self.submitted(server, client, one)
        store.commit(server)
        assert taken(server, worker) == one
        if how == "done":
            worker.send(Command.WORK_COMPLETE, one, b"")
        else:
            worker.send(Command.WORK_FAIL, one)
        store.commit(server)
        assert store.restart().connect().can_do().grab() == two

    def test_foreground_job_that_ended_with_the_server_is_waited_for_no_more(
        self, server, client, store
    ):
        one = client.submit()
        two = self.submitted(server, client, one)
        store.commit(server)
        assert store.restart().connect().can_do().grab() == two

    def test_jobs_never_wait_for_each_other(self, server, client, store):
        one = self.submitted(server, client, b"H:test:2")
        two = self.submitted(server, client, one)
        store.commit(server)
        server = type(server)(persistent=True)
        for number, row in reversed(store.rows.items()):
            server.broker.stored.restore(number, *row)
        worker = server.connect().can_do()
        assert {worker.grab(), worker.grab()} == {one, two}

    def test_job_that_is_not_stored_yet_is_released(self, server, client, worker):
        one = client.submit()
        two = self.submitted(server, client, one)
        worker.send(Command.WORK_COMPLETE, taken(server, worker), b"")
        (job,) = server.broker.jobs.changes
        server.broker.stored.durable([job])
        assert worker.grab() == two

    def test_job_that_is_stored_waits(self, server, client):
        one = client.submit()
        self.submitted(server, client, one)
        (job,) = server.broker.jobs.changes
        server.broker.stored.durable([job])
        assert job.state == AWAITING

    def test_job_whose_first_one_cannot_be_stored_starts(self, server, client, worker):
        one = self.submitted(server, client)
        two = submit_foreground(server, one)
        jobs = list(server.broker.jobs.changes)
        server.broker.stored.failed(jobs, b"no disk")
        assert worker.grab() == two


def submit_foreground(server, *after: bytes) -> bytes:
    return follows(server.connect(), *after, options=b"")


class TestStopping:
    """Jobs that are left to the next run of the server."""

    @pytest.fixture
    def server(self, make_server):
        return make_server(persistent=True)

    @pytest.fixture
    def store(self):
        return Store()

    def stored(self, server, store, *after: bytes, name=b"f"):
        client = server.connect()
        options = b"background=1"
        if after:
            options += b"&after=" + b",".join(after)
        client.send(Command.SUBMIT_JOB_WITH, name, b"", options, b"w")
        store.commit(server)
        ((_, handle),) = client.got()
        return handle

    def known(self, server) -> set[bytes]:
        return {job.handle for job in server.broker.jobs.known.values()}

    def test_jobs_of_a_chain_are_left(self, server, store):
        one = self.stored(server, store)
        two = self.stored(server, store, one)
        self.stored(server, store, one, two)
        assert server.broker.stored.shelve() == 3
        assert len(store.rows) == 3
        assert server.broker.memory.jobs == 0

    def test_job_that_a_client_waits_behind_is_done_first(self, server, store, worker):
        one = self.stored(server, store)
        two = self.stored(server, store, one)
        other = self.stored(server, store)
        client = server.connect()
        three = follows(client, two, options=b"")
        assert server.broker.stored.shelve() == 1
        assert self.known(server) == {one, two, three}
        for handle in (one, two, three):
            assert taken(server, worker) == handle
            worker.send(Command.WORK_COMPLETE, handle, b"r")
        assert client.got() == [(Command.WORK_COMPLETE, three, b"r")]
        assert other not in self.known(server)

    def test_chain_is_left_when_its_client_has_gone(self, server, store):
        one = self.stored(server, store)
        two = self.stored(server, store, one)
        client = server.connect()
        follows(client, two, options=b"")
        server.broker.stored.shelve()
        client.leave()
        assert self.known(server) == set()
        assert server.broker.memory.jobs == 0

    def test_chain_is_left_when_the_last_watcher_has_gone(self, server, store):
        one = self.stored(server, store)
        two = self.stored(server, store, one)
        self.stored(server, store, two)
        client = server.connect()
        client.send(Command.WATCH_JOB, two)
        assert server.broker.stored.shelve() == 1
        assert self.known(server) == {one, two}
        client.leave()
        assert self.known(server) == set()

    def test_job_stays_while_another_one_needs_it(self, server, store):
        one = self.stored(server, store)
        clients = [server.connect(), server.connect()]
        for client in clients:
            follows(client, one, options=b"")
        server.broker.stored.shelve()
        clients[0].leave()
        assert one in self.known(server)
        clients[1].leave()
        assert self.known(server) == set()

    def test_job_that_is_being_stored_keeps_the_other_until_then(self, server, store):
        one = self.stored(server, store)
        client = server.connect()
        options = b"background=1&after=" + one
        client.send(Command.SUBMIT_JOB_WITH, b"f", b"", options, b"w")
        assert server.broker.stored.shelve() == 0
        store.commit(server)
        assert self.known(server) == set()
        assert len(store.rows) == 2

    def test_job_that_comes_back_is_kept_for_the_other(self, server, store, worker):
        policy(server, b"retries=1&backoff=fixed:0")
        one = self.stored(server, store)
        assert taken(server, worker) == one
        client = server.connect()
        two = follows(client, one, options=b"")
        server.broker.stored.shelve()
        worker.send(Command.WORK_FAIL, one)
        assert self.known(server) == {one, two}
        assert taken(server, worker) == one
        worker.send(Command.WORK_FAIL, one)
        assert worker.grab() == two
