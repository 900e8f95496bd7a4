"""The writer's thread: batches, failures, the end."""

import logging
from contextlib import contextmanager
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from gearman.errors import Fenced, JobRefused, JobsLost, QueueError
from gearman.server.storage import store as store_module
from gearman.server.storage.store import OUTAGE, SHRINK, Outcome, Store
from tests.server.storage.slow_queue import Slow
from tests.servers import DEADLINE


class Landing:
    """Waits for outcomes, as the event loop does."""

    store: Store

    def __init__(self):
        self.landed: SimpleQueue[list[Outcome]] = SimpleQueue()

    def __call__(self):
        self.landed.put(self.store.outcomes())

    def next(self):
        """Return the numbers of the jobs of the next outcome, and its reason."""
        outcomes = self.landed.get(timeout=DEADLINE)
        return [([job.number for job in jobs], reason) for jobs, reason, *_ in outcomes]


@pytest.fixture
def jobs(make_server):
    server = make_server()
    client = server.connect()
    for _ in range(5):
        client.submit()
    return list(server.broker.jobs.known.values())


@contextmanager
def running(queue, landing):
    landing.store = store = Store(queue, landing)
    store.start()
    try:
        yield store
    finally:
        for _ in range(10):
            queue.results.put(None)
        store.close(DEADLINE)


@pytest.fixture
def queue():
    return Slow()


@pytest.fixture
def landing():
    return Landing()


@pytest.fixture
def store(queue, landing):
    with running(queue, landing) as store:
        yield store


def test_job_is_durable_when_its_commit_has_returned(store, queue, landing, jobs):
    store.write(jobs[:1])
    assert queue.call() == ([1], [])
    assert landing.next() == [([1], b"")]


def test_what_comes_during_a_commit_is_the_next_one(store, queue, landing, jobs):
    store.write(jobs[:1])
    assert queue.started() == ([1], [])
    store.write(jobs[1:2])
    store.write([*jobs[2:3], 7])
    queue.results.put(None)
    assert queue.call() == ([2, 3], [7])
    assert landing.next() == [([1], b"")]
    assert landing.next() == [([2, 3], b"")]


def test_removals_alone_are_committed_after_a_while(store, queue, monkeypatch):
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(store_module, "time", clock)
    store.write([7])
    store.write([8])
    now[0] += store_module.LINGER
    assert queue.call() == ([], [7, 8])
    monkeypatch.undo()


def test_failure_is_tried_once_more_at_once(store, queue, landing, jobs):
    store.write(jobs[:1])
    queue.call(QueueError("connection lost"))
    assert queue.call() == ([1], [])
    assert landing.next() == [([1], b"")]
    assert store.outage == b""


def test_jobs_that_the_store_has_lost_are_reported(store, queue, landing, jobs):
    store.write(jobs[:1])
    queue.call(JobsLost("it was restarted", [7, 8]))
    assert landing.landed.get(timeout=DEADLINE) == [Outcome([], lost=[7, 8])]
    queue.call(QueueError("connection lost"))
    assert queue.call() == ([1], [])
    assert landing.next() == [([1], b"")]


class TestOutage:
    @pytest.fixture(autouse=True)
    def patience(self, monkeypatch):
        monkeypatch.setattr(store_module, "FIRST_PAUSE", 0.001)
        monkeypatch.setattr(store_module, "LAST_PAUSE", 0.002)

    def test_jobs_are_given_up_and_removals_kept(self, store, queue, landing, jobs):
        store.write([*jobs[:1], 7])
        for _ in range(2):
            queue.call(QueueError("no disk"))
        assert landing.next() == [([1], OUTAGE)]
        assert store.outage == OUTAGE
        assert queue.call() == ([], [7])
        assert queue.call() == ([], [])
        assert landing.next() == [([], b"")]
        assert store.outage == b""

    def test_it_goes_on_while_nothing_but_removing_works(
        self, store, queue, landing, jobs
    ):
        store.write([*jobs[:1], 7])
        for _ in range(2):
            queue.call(QueueError("no disk"))
        landing.next()
        assert queue.call() == ([], [7])
        assert queue.call(QueueError("still no disk")) == ([], [])
        assert landing.next() == [([], b"")]
        assert store.outage == OUTAGE
        assert queue.call() == ([], [])
        assert landing.next() == [([], b"")]
        assert store.outage == b""

    def test_back_end_is_tried_with_nothing_to_do(self, store, queue, landing, jobs):
        store.write(jobs[:1])
        for _ in range(2):
            queue.call(QueueError("no disk"))
        landing.next()
        for _ in range(3):
            assert queue.call(QueueError("still none")) == ([], [])
            assert landing.next() == [([], OUTAGE)]
        assert queue.call() == ([], [])

    def test_removals_that_fail_together_are_tried_in_smaller_batches(
        self, store, queue, landing, jobs
    ):
        store.write([*jobs[:1], *range(1000, 1600)])
        for _ in range(2):
            assert queue.call(QueueError("no disk")) == ([1], list(range(1000, 1600)))
        landing.next()
        for size in (601 // SHRINK, 2):
            wanted = list(range(1000, 1000 + size))
            assert queue.call(QueueError("no disk")) == ([], wanted)
            landing.next()
        removed = []
        for size in (1, 4, 16, 64, 256):
            _, numbers = queue.call()
            assert landing.next() == [([], b"")]
            assert len(numbers) == size
            assert store.outage == OUTAGE
            removed += numbers
        _, numbers = queue.call()
        assert queue.call() == ([], [])
        assert landing.next() == [([], b"")]
        assert removed + numbers == list(range(1000, 1600))
        assert store.outage == b""

    def test_what_is_left_is_removed_before_the_end(self, queue, landing, jobs):
        with running(queue, landing) as store:
            store.write(list(range(1000, 1600)))
            for _ in range(4):
                queue.call(QueueError("no disk"))
            removed = []
            queue.results.put(None)
            _, numbers = queue.calls.get(timeout=DEADLINE)
            removed += numbers
            for _ in range(10):
                queue.results.put(None)
            assert store.close(DEADLINE)
        while not queue.calls.empty():
            removed += queue.calls.get()[1]
        assert removed == list(range(1000, 1600))

    def test_jobs_that_came_meanwhile_are_given_up(self, store, queue, landing, jobs):
        store.write(jobs[:1])
        queue.started()
        store.write(jobs[1:3])
        queue.results.put(QueueError("no disk"))
        queue.call(QueueError("no disk"))
        assert landing.next() == [([1, 2, 3], OUTAGE)]

    def test_log_says_once_why_it_began_or_goes_on_and_that_it_ended(
        self, store, queue, landing, jobs, monkeypatch
    ):
        lines = []
        logger = logging.getLogger("gearman.server")
        monkeypatch.setattr(logger, "handle", lambda r: lines.append(r.getMessage()))
        monkeypatch.setattr(logger, "level", logging.WARNING - 5)
        monkeypatch.setattr(logger, "_cache", {})
        store.write(jobs[:1])
        for _ in range(4):
            queue.call(QueueError("no disk"))
        for _ in range(2):
            queue.call(QueueError("a full one"))
        queue.call()
        while landing.next()[-1][1]:
            pass
        assert lines == [
            "jobs cannot be stored for now: no disk",
            "jobs still cannot be stored: a full one",
            "jobs can be stored again",
        ]

    def test_store_that_loses_jobs_again_and_again_is_one(
        self, store, queue, landing, jobs
    ):
        store.write(jobs[:1])
        for _ in range(store_module.MAX_ATTEMPTS):
            queue.call(JobsLost("it was restarted", [7]))
            assert landing.landed.get(timeout=DEADLINE) == [Outcome([], lost=[7])]
        assert landing.next() == [([1], OUTAGE)]

    def test_bug_of_a_plugin_is_a_failure(self, store, queue, landing, jobs):
        store.write(jobs[:1])
        queue.call(ZeroDivisionError("oops"))
        assert landing.next()[0][0] == [1]
        assert store.outage == OUTAGE
        queue.call()


class TestRefusal:
    def test_others_are_stored_without_the_refused(self, store, queue, landing, jobs):
        store.write([*jobs[:3], 7])
        assert queue.call(JobRefused({2: "too large"})) == ([1, 2, 3], [7])
        assert landing.next() == [([2], b"too large")]
        assert queue.call() == ([1, 3], [7])
        assert landing.next() == [([1, 3], b"")]
        assert store.outage == b""

    def test_reason_is_one_short_line(self, store, queue, landing, jobs):
        store.write(jobs[:1])
        queue.call(JobRefused({1: "too\nlarge" * 1000}))
        ((_, reason),) = landing.next()
        assert reason.startswith(b"too\\x0alarge")
        assert len(reason) == store_module.MAX_REASON

    def test_refusal_of_something_else_is_a_failure(self, store, queue, landing, jobs):
        store.write(jobs[:1])
        queue.call(JobRefused({9: "too large"}))
        assert landing.next()[0][0] == [1]
        assert store.outage


class TestFenced:
    def test_jobs_of_another_server_are_not_stored_again(
        self, store, queue, landing, jobs, messages
    ):
        store.write([*jobs[:1], 7])
        queue.started()
        store.write([*jobs[1:2], 8, 9])
        queue.results.put(Fenced("another server owns them"))
        assert landing.next() == []
        assert store.fenced
        assert store.close(DEADLINE)
        assert queue.closed
        assert queue.calls.empty()
        told = "5 changes of jobs are not stored: another server owns them"
        assert messages.told == [told]

    def test_nothing_is_written_any_more(self, store, queue, landing, jobs):
        store.write(jobs[:1])
        queue.call(Fenced("another server owns them"))
        landing.next()
        store.write(jobs[1:2])
        assert store.waiting == 0
        assert store.outage == b""

    def test_it_is_noticed_in_an_outage(self, store, queue, landing, monkeypatch):
        monkeypatch.setattr(store_module, "FIRST_PAUSE", 0.001)
        store.write([7])
        for _ in range(2):
            queue.call(QueueError("the database is down"))
        landing.next()
        queue.call(Fenced("another server owns them"))
        assert landing.next() == []
        assert store.fenced


class TestClose:
    def test_what_waits_is_committed_first(self, queue, landing, jobs):
        with running(queue, landing) as store:
            store.write([7])
            queue.results.put(None)
            assert store.close(DEADLINE)
        assert queue.calls.get_nowait() == ([], [7])
        assert queue.closed

    def test_what_comes_after_the_last_commit_is_left_as_it_is(
        self, queue, landing, jobs
    ):
        with running(queue, landing) as store:
            assert store.close(DEADLINE)
            store.write([7, *jobs[:1]])
            assert store.close(DEADLINE)
        assert queue.calls.empty()

    def test_it_is_tried_once_where_the_back_end_fails(
        self, queue, landing, jobs, monkeypatch
    ):
        monkeypatch.setattr(store_module, "FIRST_PAUSE", 1000.0)
        with running(queue, landing) as store:
            store.write([*jobs[:1], 7])
            for _ in range(2):
                queue.call(QueueError("no disk"))
            landing.next()
            queue.results.put(QueueError("no disk"))
            assert not store.close(DEADLINE)
        assert queue.closed

    def test_it_is_tried_with_less_where_it_fails_with_much(
        self, queue, landing, jobs, monkeypatch
    ):
        monkeypatch.setattr(store_module, "FIRST_PAUSE", 1000.0)
        with running(queue, landing) as store:
            store.write(list(range(1000, 1100)))
            for _ in range(2):
                queue.call(QueueError("no disk"))
            landing.next()
            for _ in range(10):
                queue.results.put(None)
            assert store.close(DEADLINE)
        batches = [queue.calls.get_nowait()[1] for _ in range(3)]
        assert batches[0] == list(range(1000, 1000 + 100 // SHRINK))

    def test_it_does_not_wait_for_ever(self, queue, landing, jobs):
        with running(queue, landing) as store:
            store.write(jobs[:1])
            queue.started()
            assert not store.close(0.001)

    def test_idle_store_closes_at_once(self, queue, landing):
        with running(queue, landing) as store:
            assert store.close(DEADLINE)
        assert queue.closed
        assert queue.calls.empty()


def test_it_is_full_while_very_much_waits(store, queue, landing, jobs):
    (job, *_) = jobs
    job.workload = bytes(70 * 1024 * 1024)
    store.write([job])
    assert store.full
    queue.call()
    landing.next()
    assert not store.full
