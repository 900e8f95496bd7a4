"""The broker's decisions if background jobs are kept in a store."""

from math import inf

import pytest

from gearman.commands import MAX_UNIQUE, Command
from gearman.options import Policies, Policy
from gearman.server.cluster.home import home_of

NOOP = (Command.NOOP,)
NO_JOB = (Command.NO_JOB,)
DOWN = (Command.ERROR, b"QUEUE_ERROR", b"no disk")
FULL = (Command.ERROR, b"QUEUE_ERROR", b"Job queue is full")
BACKGROUND = Command.SUBMIT_JOB_BG


@pytest.fixture
def server(make_server):
    return make_server(persistent=True)


def take(server, wanted):
    changes = server.broker.jobs.changes
    found = list(filter(wanted, changes))
    changes[:] = [change for change in changes if not wanted(change)]
    return found


def taken(server):
    """Take the jobs to be stored from the changes."""
    return take(server, lambda change: not isinstance(change, int))


def removed(server):
    """Take the numbers of the jobs to be removed from the changes."""
    return take(server, lambda change: isinstance(change, int))


def commit(server):
    """Store the jobs to be stored, and return them."""
    added = taken(server)
    server.broker.stored.durable(added)
    return added


def fail(server, reason=b"no disk"):
    server.broker.stored.failed(taken(server), reason)


def stored(server, client, unique=b"", command=BACKGROUND):
    """Submit a job, store it, and return its handle."""
    assert client.send(command, b"f", unique, b"w") == []
    commit(server)
    ((answer, handle),) = client.got()
    assert answer == Command.JOB_CREATED
    return handle


class TestAcknowledgement:
    def test_background_job_is_acknowledged_and_grabbed_when_it_is_stored(self, server):
        client, worker = server.connect(), server.worker()
        assert client.send(BACKGROUND, b"f", b"u", b"w") == []
        assert worker.got() == []
        assert worker.send(Command.GRAB_JOB) == [NO_JOB]
        assert worker.send(Command.PRE_SLEEP) == []
        (job,) = commit(server)
        assert client.got() == [(Command.JOB_CREATED, job.handle)]
        assert worker.got() == [NOOP]
        assert worker.grab() == job.handle

    def test_foreground_job_waits_for_nothing(self, server):
        client, worker = server.connect(), server.worker()
        handle = client.submit()
        assert worker.grab() == handle
        assert taken(server) == []

    def test_scheduled_job_runs_at_its_time_after_it_was_stored(self, server):
        client, worker = server.connect(), server.worker()
        when = b"%d" % (server.wall + 5)
        assert client.send(Command.SUBMIT_JOB_EPOCH, b"f", b"", when, b"w") == []
        server.after(6)
        assert worker.got() == []
        (job,) = commit(server)
        assert client.got() == [(Command.JOB_CREATED, job.handle)]
        assert worker.got() == [NOOP]

    def test_all_who_submit_the_same_job_wait_for_it(self, server):
        first, second, third = (server.connect() for _ in range(3))
        for client in first, second:
            assert client.send(BACKGROUND, b"f", b"u", b"w") == []
        assert third.send(Command.SUBMIT_JOB, b"f", b"u", b"w") == []
        (job,) = commit(server)
        created = [(Command.JOB_CREATED, job.handle)]
        assert [c.got() for c in (first, second, third)] == [created] * 3
        worker = server.connect().can_do()
        worker.send(Command.WORK_COMPLETE, worker.grab(), b"r")
        assert third.got() == [(Command.WORK_COMPLETE, job.handle, b"r")]
        assert first.got() == []

    def test_stored_job_is_joined_at_once(self, server):
        client = server.connect()
        handle = stored(server, client, b"u")
        assert client.submit(b"f", b"u", command=BACKGROUND) == handle
        assert client.submit(b"f", b"u") == handle

    def test_pending_job_counts_as_one_of_its_function(self, server):
        client = server.connect()
        client.send(BACKGROUND, b"f", b"", b"w")
        assert client.ask(b"status") == b"f\t1\t0\t0\n.\n"
        assert client.ask(b"drop function f").startswith(b"ERR")
        commit(server)
        client.got()
        assert client.ask(b"status") == b"f\t1\t0\t0\n.\n"

    def test_job_of_a_client_that_left_is_kept(self, server):
        client, worker = server.connect(), server.worker()
        client.send(BACKGROUND, b"f", b"", b"w")
        client.leave()
        (job,) = commit(server)
        assert worker.grab() == job.handle


class TestOrder:
    """Answers to submissions come in the order of the submissions."""

    def test_foreground_job_waits_behind_background_job_of_its_client(self, server):
        client, worker = server.connect(), server.worker()
        client.send(BACKGROUND, b"f", b"", b"one")
        assert client.send(Command.SUBMIT_JOB, b"f", b"", b"two") == []
        assert server.broker.answers.deferring == [client.peer]
        assert worker.send(Command.GRAB_JOB) == [NO_JOB]
        (one,) = commit(server)
        created = client.got()
        assert created[0] == (Command.JOB_CREATED, one.handle)
        assert [c for c, _ in created] == [Command.JOB_CREATED] * 2
        assert {worker.grab(), worker.grab()} == {handle for _, handle in created}

    def test_refusal_waits_behind_what_came_before(self, server):
        client = server.connect()
        client.ask(b"maxqueue f 1")
        client.send(BACKGROUND, b"f", b"", b"w")
        assert client.send(BACKGROUND, b"f", b"", b"w") == []
        assert client.send(BACKGROUND, b"f", b"u" * (MAX_UNIQUE + 1), b"w") == []
        commit(server)
        answers = [answer[0] for answer in client.got()]
        assert answers == [Command.JOB_CREATED, Command.ERROR, Command.ERROR]

    def test_deferred_job_is_refused_in_its_turn(self, server):
        client = server.connect()
        client.ask(b"maxqueue f 1")
        client.send(BACKGROUND, b"f", b"", b"w")
        client.send(Command.SUBMIT_JOB, b"f", b"", b"w")
        client.send(BACKGROUND, b"g", b"", b"w")
        f, _ = commit(server)
        assert client.got()[:2] == [(Command.JOB_CREATED, f.handle), FULL]

    def test_deferred_job_may_wait_for_one_of_somebody_else(self, server):
        client, other = server.connect(), server.connect()
        client.send(BACKGROUND, b"f", b"", b"w")
        client.send(Command.SUBMIT_JOB, b"f", b"u", b"w")
        client.send(Command.SUBMIT_JOB, b"f", b"", b"last")
        mine = taken(server)
        other.send(BACKGROUND, b"f", b"u", b"w")
        server.broker.stored.durable(mine)
        assert client.got() == [(Command.JOB_CREATED, mine[0].handle)]
        (joined,) = commit(server)
        created = client.got()
        assert created[0] == (Command.JOB_CREATED, joined.handle)
        assert len(created) == 2

    def test_later_batch_that_lands_first_waits(self, server):
        client = server.connect()
        client.send(BACKGROUND, b"f", b"", b"w")
        first = taken(server)
        client.send(BACKGROUND, b"f", b"", b"w")
        second = taken(server)
        server.broker.stored.durable(second)
        assert client.got() == []
        server.broker.stored.durable(first)
        handles = [job.handle for job in first + second]
        assert client.got() == [(Command.JOB_CREATED, h) for h in handles]

    def test_many_deferred_jobs_are_all_carried_out_in_their_order(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.send(BACKGROUND, b"f", b"", b"w")
        for number in range(5):
            client.send(Command.SUBMIT_JOB, b"f", b"", b"%d" % number)
            client.send(BACKGROUND, b"g", b"", b"w")
        commit(server)
        created = [handle for _, handle in client.got()]
        commit(server)
        created += [handle for _, handle in client.got()]
        assert len(set(created)) == 11
        worker.grab()
        workloads = [worker.grab_workload() for _ in range(5)]
        assert workloads == [b"0", b"1", b"2", b"3", b"4"]

    def test_requests_of_a_client_that_left_are_dropped(self, server):
        client = server.connect()
        client.send(BACKGROUND, b"f", b"", b"w")
        client.send(Command.SUBMIT_JOB, b"f", b"", b"w")
        client.leave()
        commit(server)
        assert len(server.broker.jobs.known) == 1


class TestRemoval:
    @pytest.mark.parametrize(
        ("command", "data"),
        [
            (Command.WORK_COMPLETE, [b"r"]),
            (Command.WORK_FAIL, []),
            (Command.WORK_EXCEPTION, [b"e"]),
        ],
    )
    def test_job_that_ended_is_removed(self, server, command, data):
        worker = server.connect().can_do()
        stored(server, server.connect())
        (number,) = server.broker.jobs.known
        worker.send(command, worker.grab(), *data)
        assert removed(server) == [number]

    def test_cancelled_job_is_removed(self, server):
        client = server.connect()
        handle = stored(server, client)
        assert client.ask(b"cancel job " + handle) == b"OK\r\n"
        assert len(removed(server)) == 1

    def test_pending_job_that_is_cancelled_is_acknowledged_and_removed(self, server):
        client = server.connect()
        client.send(BACKGROUND, b"f", b"", b"w")
        (job,) = added = taken(server)
        assert server.broker.cancel(job.handle)
        assert client.got() == [(Command.JOB_CREATED, job.handle)]
        assert removed(server) == [job.number]
        server.broker.stored.durable(added)
        assert client.got() == []
        assert client.ask(b"status") == b"f\t0\t0\t0\n.\n"

    def test_job_that_was_tried_too_often_is_removed(self, make_server):
        server = make_server(persistent=True, retries=1)
        worker = server.worker()
        stored(server, server.connect())
        worker.grab()
        worker.leave()
        assert len(removed(server)) == 1

    def test_lost_worker_leaves_a_restored_job_its_options(self, server):
        extra = b"submitted=1.000000&options=retries%3D3&attempts=2"
        job = 7, b"H:test:7", b"f", b"", b"w", 1, 0, 0, None
        server.broker.stored.restore(*job, extra)
        worker = server.connect().can_do()
        assert worker.grab() == b"H:test:7"
        worker.leave()
        (job,) = taken(server)
        assert job.extra.record == extra

    def test_lost_worker_has_the_retries_stored(self, server):
        worker = server.connect().can_do()
        stored(server, server.connect())
        worker.grab()
        worker.leave()
        (job,) = commit(server)
        assert (job.retries, removed(server)) == (1, [])

    def test_foreground_job_needs_no_removal(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.submit()
        worker.send(Command.WORK_COMPLETE, worker.grab(), b"r")
        assert removed(server) == []


class TestPromotion:
    """A background submission that joins a foreground job."""

    def test_it_is_acknowledged_when_it_is_stored(self, server):
        client, other = server.connect(), server.connect()
        handle = client.submit(b"f", b"u")
        assert other.send(BACKGROUND, b"f", b"u", b"w") == []
        (job,) = commit(server)
        assert other.got() == [(Command.JOB_CREATED, handle)]
        client.leave()
        assert server.connect().can_do().grab() == handle

    def test_job_may_end_before_it_is_stored(self, server):
        client, other, worker = server.connect(), server.connect(), server.worker()
        handle = client.submit(b"f", b"u")
        worker.grab()
        other.send(BACKGROUND, b"f", b"u", b"w")
        (job,) = added = taken(server)
        worker.send(Command.WORK_COMPLETE, handle, b"r")
        assert other.got() == [(Command.JOB_CREATED, handle)]
        assert removed(server) == [job.number]
        server.broker.stored.durable(added)
        assert other.got() == []

    def test_foreground_client_joins_at_once_while_the_job_runs(self, server):
        client, other, worker = server.connect(), server.connect(), server.worker()
        handle = client.submit(b"f", b"u")
        worker.grab()
        other.send(BACKGROUND, b"f", b"u", b"w")
        assert server.connect().submit(b"f", b"u") == handle

    def test_failure_leaves_a_foreground_job(self, server):
        client, other = server.connect(), server.connect()
        client.submit(b"f", b"u")
        other.send(BACKGROUND, b"f", b"u", b"w")
        fail(server)
        assert other.got() == [DOWN]
        assert len(removed(server)) == 1
        client.leave()
        assert client.ask(b"status") == b"f\t0\t0\t0\n.\n"
        assert removed(server) == []

    def test_job_that_is_stored_after_a_failure_is_not_removed(self, server):
        client, other = server.connect(), server.connect()
        client.submit(b"f", b"u")
        other.send(BACKGROUND, b"f", b"u", b"w")
        fail(server)
        other.send(BACKGROUND, b"f", b"u", b"w")
        removal, job = server.broker.jobs.changes
        assert removal == job.number

    def test_failure_ends_a_job_that_nobody_else_wants(self, server):
        client, other = server.connect(), server.connect()
        client.submit(b"f", b"u")
        other.send(BACKGROUND, b"f", b"u", b"w")
        client.leave()
        fail(server)
        assert server.broker.jobs.known == {}
        assert len(removed(server)) == 1


class TestDeferredTwin:
    """A foreground submission waits behind a background one of the same unique.

    It makes a new job if the job that it would have joined has ended.
    """

    def start(self, server):
        """Return the first client, the waiting one, the worker, and the handle."""
        first, client = server.connect(), server.connect()
        worker = server.connect().can_do()
        handle = first.submit(b"f", b"u")
        assert worker.grab() == handle
        assert client.send(BACKGROUND, b"f", b"u", b"w") == []
        assert client.send(Command.SUBMIT_JOB, b"f", b"u", b"w") == []
        return first, client, worker, handle

    @pytest.mark.parametrize(
        "end",
        [
            (Command.WORK_COMPLETE, b"old"),
            (Command.WORK_FAIL,),
            (Command.WORK_EXCEPTION, b"old"),
        ],
    )
    def test_worker_ends_the_job_before_it_is_stored(self, server, end):
        _, client, worker, handle = self.start(server)
        worker.send(end[0], handle, *end[1:])
        first, second = client.got()
        assert first == (Command.JOB_CREATED, handle)
        assert second[0] == Command.JOB_CREATED
        assert second[1] != handle
        assert worker.grab() == second[1]
        worker.send(Command.WORK_COMPLETE, second[1], b"new")
        assert client.got() == [(Command.WORK_COMPLETE, second[1], b"new")]

    def test_job_is_cancelled_before_it_is_stored(self, server):
        _, client, worker, handle = self.start(server)
        assert server.broker.cancel(handle)
        (_, old), (_, new) = client.got()
        assert (old == handle, new == handle) == (True, False)
        assert worker.grab() == new

    def test_job_is_given_up_before_it_is_stored(self, make_server):
        server = make_server(persistent=True, retries=1)
        _, client, worker, handle = self.start(server)
        worker.leave()
        (_, old), (_, new) = client.got()
        assert (old == handle, new == handle) == (True, False)
        assert server.connect().can_do().grab() == new

    def test_job_exceeds_its_timeout_before_it_is_stored(self, make_server):
        server = make_server(persistent=True, timeout_fails=True)
        worker = server.connect()
        worker.send(Command.CAN_DO_TIMEOUT, b"f", b"1000")
        handle = server.connect().submit(b"f", b"u")
        assert worker.grab() == handle
        client = server.connect()
        client.send(BACKGROUND, b"f", b"u", b"w")
        client.send(Command.SUBMIT_JOB, b"f", b"u", b"w")
        server.after(2)
        (_, old), (_, new) = client.got()
        assert (old == handle, new == handle) == (True, False)
        assert worker.grab() == new

    def test_store_refuses_the_job_that_waits_for_it(self, server):
        client, worker = server.connect(), server.connect().can_do()
        client.send(BACKGROUND, b"f", b"u", b"w")
        client.send(Command.SUBMIT_JOB, b"f", b"u", b"w")
        fail(server)
        refused, (answer, new) = client.got()
        assert refused == DOWN
        assert answer == Command.JOB_CREATED
        assert worker.grab() == new
        worker.send(Command.WORK_COMPLETE, new, b"r")
        assert client.got() == [(Command.WORK_COMPLETE, new, b"r")]

    def test_last_client_leaves_while_its_job_is_being_stored(self, server):
        first, client = server.connect(), server.connect()
        first.submit(b"f", b"u")
        client.send(BACKGROUND, b"f", b"u", b"w")
        client.send(Command.SUBMIT_JOB, b"f", b"u", b"w")
        first.leave()
        fail(server)
        assert client.got()[0] == DOWN
        (job,) = server.broker.jobs.known.values()
        assert job.clients == [client.peer]

    def test_peer_that_works_for_itself_leaves_nothing_undone(self, make_server):
        server = make_server(persistent=True, retries=1)
        peer = server.connect().can_do()
        handle = peer.submit(b"f", b"u")
        assert peer.grab() == handle
        peer.send(BACKGROUND, b"f", b"u", b"w")
        peer.send(Command.SUBMIT_JOB, b"f", b"u", b"w")
        peer.leave()
        assert server.broker.jobs.known == {}


class TestFailure:
    def test_job_that_cannot_be_stored_is_refused_and_gone(self, server):
        client = server.connect()
        client.send(BACKGROUND, b"f", b"u", b"w")
        (number,) = server.broker.jobs.known
        fail(server)
        assert client.got() == [DOWN]
        assert server.broker.jobs.known == {}
        # The job may be in the store although the commit failed.
        assert removed(server) == [number]
        stored(server, client, b"u")

    def test_all_who_wait_for_it_are_refused(self, server):
        background, foreground = server.connect(), server.connect()
        background.send(BACKGROUND, b"f", b"u", b"w")
        foreground.send(Command.SUBMIT_JOB, b"f", b"u", b"w")
        fail(server)
        assert background.got() == foreground.got() == [DOWN]
        assert not foreground.peer.waiting
        assert server.broker.jobs.known == {}

    def test_failed_update_leaves_the_job_as_it_was_stored(self, server):
        worker = server.connect().can_do()
        handle = stored(server, server.connect())
        worker.grab()
        worker.leave()
        fail(server)
        assert removed(server) == []
        assert server.connect().can_do().grab() == handle

    def test_outage_refuses_new_background_jobs_alone(self, server):
        client = server.connect()
        handle = stored(server, client, b"u")
        client.submit(b"f", b"v")
        server.broker.outage = b"no disk"
        assert client.send(BACKGROUND, b"f", b"", b"w") == [DOWN]
        assert client.send(BACKGROUND, b"f", b"v", b"w") == [DOWN]
        assert client.submit(b"f", b"u", command=BACKGROUND) == handle
        client.submit()
        assert taken(server) == []


class TestRestore:
    def test_job_is_as_it_was_stored(self, server):
        server.broker.stored.restore(7, b"H:old:7", b"f", b"u", b"w", 0, 0, 2, b"r")
        worker = server.connect().can_do()
        (job,) = worker.send(Command.GRAB_JOB_ALL)
        assert job == (Command.JOB_ASSIGN_ALL, b"H:old:7", b"f", b"u", b"r", b"w")
        assert worker.ask(b"show jobs") == b"H:old:7\t2\t0\t1\n.\n"
        worker.send(Command.WORK_COMPLETE, b"H:old:7", b"")
        assert removed(server) == [7]

    def test_unique_that_was_stored_twice_is_the_later_job(self, make_server):
        server = make_server(persistent=True)
        for number, name in ((5, b"f"), (6, b"g"), (7, b"f"), (8, b"g")):
            server.broker.stored.restore(number, b"", name, b"u", b"w", 1, 0, 0, None)
        client = server.connect()
        assert client.submit(b"f", b"u") == b"H:test:7"
        for worker in (server.connect().can_do(b"f"), server.connect().can_do(b"g")):
            while handle := worker.grab():
                worker.send(Command.WORK_COMPLETE, handle, b"")
        assert client.send(Command.GET_STATUS_UNIQUE, b"u")[-1][2] == b"0"

    def test_new_numbers_follow_the_restored_ones(self, make_server):
        server = make_server(persistent=True, first_handle=5)
        server.broker.stored.restore(7, b"H:old:7", b"f", b"", b"w", 1, 0, 0, None)
        server.broker.stored.restore(3, b"", b"f", b"", b"w", 1, 0, 0, None)
        client = server.connect()
        assert client.submit() == b"H:test:8"

    @pytest.mark.parametrize("handle", [b"", b"H:old:8", b"H:old:"])
    def test_job_without_a_handle_of_its_number_gets_one(self, server, handle):
        server.broker.stored.restore(7, handle, b"f", b"", b"w", 1, 0, 0, None)
        assert server.broker.jobs.find(b"H:test:7")
        assert server.connect().can_do().grab() == b"H:test:7"

    def test_job_runs_at_its_time(self, server):
        when = int(server.wall) + 5
        server.broker.stored.restore(7, b"", b"f", b"", b"w", 1, when, 0, None)
        worker = server.worker()
        server.after(6)
        assert worker.got() == [NOOP]

    def test_submissions_join_it(self, server):
        server.broker.stored.restore(7, b"H:old:7", b"f", b"u", b"w", 1, 0, 0, None)
        assert server.connect().submit(b"f", b"u", command=BACKGROUND) == b"H:old:7"

    @pytest.mark.parametrize("steps", [(0, 1), (1, 0), (0, 1, 2)])
    def test_submissions_join_the_one_at_home_in_a_cluster(self, server, steps):
        server.broker.stored.own(frozenset(range(64)))
        home = home_of(b"u", b"")
        for step in steps:
            job = 64 + home + step, b"", b"f", b"u", b"w", 1, 0, 0, None
            server.broker.stored.restore(*job)
        joined = server.connect().submit(b"f", b"u", command=BACKGROUND)
        assert joined == b"H:test:%d" % (64 + home)

    def test_jobs_of_the_same_unique_are_all_kept(self, server):
        for number in (7, 8):
            server.broker.stored.restore(number, b"", b"f", b"u", b"w", 1, 0, 0, None)
        worker = server.connect().can_do()
        handles = [worker.grab(), worker.grab()]
        assert handles == [b"H:test:7", b"H:test:8"]


@pytest.mark.parametrize(
    "handle", [b"", b"7", b"H:test:", b"H:test:x", b"H:test:" + b"1" * 40, b":-7"]
)
def test_handle_that_was_never_given_is_unknown(server, handle):
    server.broker.stored.restore(7, b"", b"f", b"", b"w", 1, 0, 0, None)
    assert server.broker.jobs.find(handle) is None


def test_jobs_that_the_store_has_lost_are_stored_again(server):
    client, worker = server.connect(), server.connect().can_do()
    stored(server, client)
    stored(server, client)
    first, second = server.broker.jobs.known.values()
    foreground = server.broker.jobs.find(client.submit())
    assert worker.grab() == first.handle
    server.broker.stored.store_again(
        [99, first.number, second.number, foreground.number]
    )
    assert commit(server) == [first, second]
    assert client.got() == []
    assert worker.grab() == second.handle


def test_result_that_the_store_has_lost_is_stored_again(server):
    server.broker.policies.load(Policies({b"f": Policy(keep=60.0)}))
    worker = server.connect().can_do()
    stored(server, server.connect())
    worker.send(Command.WORK_COMPLETE, worker.grab(), b"r")
    records = server.broker.jobs.records
    (record,) = records
    records.clear()
    server.broker.stored.store_again([record.number, 99])
    (again,) = records
    assert (again.number, again.workload) == (record.number, b"r")


class TestShelve:
    def test_stored_jobs_are_left_to_the_next_run(self, server):
        client, worker = server.connect(), server.connect().can_do()
        stored(server, client)
        stored(server, client, b"u")
        assert server.broker.stored.shelve() == 2
        assert server.broker.jobs.known == {}
        assert worker.grab() is None
        assert (taken(server), removed(server)) == ([], [])
        assert client.ask(b"status") == b"f\t0\t0\t1\n.\n"

    def test_scheduled_job_is_left_as_well(self, server):
        client = server.connect()
        when = b"%d" % (server.wall + 5)
        client.send(Command.SUBMIT_JOB_EPOCH, b"f", b"", when, b"w")
        commit(server)
        client.got()
        assert server.broker.stored.shelve() == 1
        server.after(10)
        assert client.ask(b"status") == b"f\t0\t0\t0\n.\n"

    def test_job_that_runs_or_that_somebody_waits_for_is_finished(self, server):
        client, worker = server.connect(), server.connect().can_do()
        running = stored(server, client)
        assert worker.grab() == running
        awaited = stored(server, client, b"u")
        foreground = [client.submit(b"f", b"u"), client.submit()]
        assert foreground[0] == awaited
        assert server.broker.stored.shelve() == 0
        assert [worker.grab(), worker.grab()] == foreground

    def test_job_that_is_stored_later_is_acknowledged_and_left(self, server):
        client = server.connect()
        client.send(BACKGROUND, b"f", b"", b"w")
        assert server.broker.stored.shelve() == 0
        (job,) = commit(server)
        assert client.got() == [(Command.JOB_CREATED, job.handle)]
        assert server.broker.jobs.known == {}

    def test_job_of_a_lost_worker_is_left(self, server):
        worker = server.connect().can_do()
        stored(server, server.connect())
        worker.grab()
        assert server.broker.stored.shelve() == 0
        worker.leave()
        (job,) = taken(server)
        assert (server.broker.jobs.known, job.retries, removed(server)) == ({}, 1, [])

    def test_job_is_left_when_the_last_who_waited_for_it_leaves(self, server):
        first, second = server.connect(), server.connect()
        stored(server, first, b"u")
        for client in first, second:
            client.submit(b"f", b"u")
        assert server.broker.stored.shelve() == 0
        first.leave()
        assert len(server.broker.jobs.known) == 1
        second.leave()
        assert (server.broker.jobs.known, taken(server), removed(server)) == (
            {},
            [],
            [],
        )

    def test_scheduled_job_is_left_when_who_waited_for_it_leaves(self, server):
        client = server.connect()
        when = b"%d" % (server.wall + 5)
        client.send(Command.SUBMIT_JOB_EPOCH, b"f", b"u", when, b"w")
        commit(server)
        client.got()
        client.submit(b"f", b"u")
        assert server.broker.stored.shelve() == 0
        client.leave()
        assert server.broker.jobs.known == {}
        assert server.after(10) == inf

    def test_job_is_left_whose_worker_and_then_whose_client_was_lost(self, server):
        client, worker = server.connect(), server.connect().can_do()
        handle = stored(server, client, b"u")
        client.submit(b"f", b"u")
        assert worker.grab() == handle
        assert server.broker.stored.shelve() == 0
        worker.leave()
        assert len(commit(server)) == 1
        assert len(server.broker.jobs.known) == 1
        client.leave()
        assert server.broker.jobs.known == {}

    def test_foreground_job_that_is_stored_while_it_waits_is_left(self, server):
        client, other = server.connect(), server.connect()
        client.submit(b"f", b"u")
        other.send(BACKGROUND, b"f", b"u", b"w")
        assert server.broker.stored.shelve() == 0
        client.leave()
        assert len(server.broker.jobs.known) == 1
        (job,) = commit(server)
        assert other.got() == [(Command.JOB_CREATED, job.handle)]
        assert server.broker.jobs.known == {}


def test_job_that_an_outage_refused_is_not_stored_when_it_is_over(make_server):
    server = make_server(persistent=True)
    server.connect().send(Command.SUBMIT_JOB_BG, b"f", b"", b"w")
    jobs = list(server.broker.jobs.changes)
    server.broker.stored.failed(jobs, b"down")
    server.broker.stored.keep_unsaved(jobs, [])
    server.broker.jobs.changes.clear()
    server.broker.stored.store_unsaved()
    assert server.broker.jobs.changes == []


def test_change_that_an_outage_prevented_is_stored_when_it_is_over(make_server):
    server = make_server(persistent=True)
    server.connect().send(Command.SUBMIT_JOB_BG, b"f", b"", b"w")
    jobs = list(server.broker.jobs.changes)
    server.broker.stored.durable(jobs)
    server.broker.jobs.changes.clear()
    server.broker.stored.failed(jobs, b"down")
    server.broker.stored.keep_unsaved(jobs, [])
    for _ in range(2):
        server.broker.stored.store_unsaved()
    assert server.broker.jobs.changes == jobs
