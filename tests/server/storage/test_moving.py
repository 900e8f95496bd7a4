"""Loading shards, and leaving them, while a server runs."""

from collections.abc import Callable, Iterator
from datetime import UTC

import pytest

from gearman.commands import Command
from gearman.options import Schedule
from gearman.queue import StoredJob, Unreadable
from gearman.server.broker.making import number_of
from gearman.server.cluster.home import ALL_SHARDS, first_spare, home_of
from gearman.server.storage import moving as module
from gearman.server.storage.moving import Moving
from gearman.server.storage.restoring import replay
from gearman.server.storage.store import Store
from tests.server.conftest import Server
from tests.server.storage.shared_queue import Shared
from tests.servers import until

BG = Command.SUBMIT_JOB_BG


def job(number: int, extra: bytes = b"") -> StoredJob:
    return StoredJob(number, b"", b"f", b"", b"%d" % number, extra=extra)


class Site(Server):
    """A server whose jobs are in a queue, and which owns all shards at first."""

    def __init__(self, queue: Shared) -> None:
        super().__init__(persistent=True, first_handle=6400)
        self.broker.stored.own(ALL_SHARDS)
        self.queue = queue
        self.store = Store(queue, lambda: None)
        self.moving = Moving(self.broker, self.store, self.settle)
        self.store.start()

    def settle(self) -> None:
        jobs = self.broker.jobs
        self.store.write(jobs.changes, jobs.records)
        jobs.changes.clear()
        jobs.records.clear()

    def turn(self) -> None:
        for outcome in self.store.outcomes():
            self.broker.stored.durable(outcome.jobs)
            self.broker.stored.recorded(outcome.records)
        self.moving.go_on()
        self.settle()

    def until(self, condition: Callable[[], object]) -> None:
        """Go on until a condition is met."""

        def met() -> bool:
            self.turn()
            return bool(condition())

        until(met)

    def load(self, *shards: int) -> int:
        """Load shards, and return how many jobs they had."""
        counts: list[int] = []
        self.moving.load(frozenset(shards), lambda count, _: counts.append(count))
        self.until(lambda: counts)
        return counts[0]

    def submit_some(self, count: int = 1) -> list[int]:
        """Submit background jobs, and return the numbers when they are stored."""
        client = self.connect()
        first = self.broker.jobs.next_number
        for _ in range(count):
            client.send(BG, b"f", b"", b"w")
        numbers = [n for n in self.broker.jobs.known if n >= first]
        self.until(lambda: set(numbers) <= self.queue.jobs.keys())
        answers: list[object] = []

        def answered() -> bool:
            """Whether it is known here that they are stored: a moment later."""
            answers.extend(client.got())
            return len(answers) == count

        self.until(answered)
        return numbers

    def leaves(self, *shards: int) -> None:
        self.broker.stored.own(ALL_SHARDS - set(shards))
        self.moving.leave(frozenset(shards))

    def clears(self, *shards: int) -> None:
        """Go on until these shards are clear."""
        clear: set[int] = set()

        def cleared() -> bool:
            clear.update(self.moving.clear())
            return clear == set(shards)

        self.until(cleared)

    @property
    def known(self) -> list[int]:
        return sorted(self.broker.jobs.known)


@pytest.fixture
def site() -> Iterator[Site]:
    """A server with jobs of other servers in its queue: some in each shard."""
    made = Site(Shared(*map(job, range(100, 1700))))
    yield made
    assert made.store.close(10)


def test_jobs_of_some_shards_are_loaded_page_by_page(site):
    assert site.load(3, 7) == 50
    assert site.known == [n for n in range(100, 1700) if n % 64 in (3, 7)]
    assert not site.moving.busy
    worker = site.connect().can_do()
    assert worker.grab_workload() == b"131"


def test_loads_follow_each_other(site):
    counts: list[int] = []
    for shard in (3, 7):
        site.moving.load(frozenset({shard}), lambda count, _: counts.append(count))
    site.until(lambda: len(counts) == 2)
    assert counts == [25, 25]


def test_empty_shard_is_loaded_at_once(site):
    site.queue.jobs.clear()
    assert site.load(3) == 0


def test_turns_are_short(site, monkeypatch):
    monkeypatch.setattr(module, "ALLOWANCE", 0.0)
    monkeypatch.setattr(module, "FEW", 3)
    assert site.load(3) == 25
    site.leaves(3)
    site.clears(3)
    assert site.known == []


@pytest.mark.parametrize("failures", [1, 2, 5])
def test_reading_is_tried_again(site, failures):
    site.queue.failures = failures
    assert site.load(3) == 25


def test_what_cannot_be_read_is_logged(site, messages):
    odd = Unreadable("row 4", "it is odd")
    page = site.queue.read
    pages = iter([page({3}, 0)._replace(items=[odd, job(131, b"kind=odd")])])
    site.queue.read = lambda shards, after: next(pages, page(set(), 0))
    assert site.load(3) == 1
    assert messages.count("stored job row 4 is left alone: it is odd")
    assert messages.count("stored job 131 is left alone")


def test_known_jobs_are_not_loaded_again(site):
    site.load(3)
    site.load(3)
    assert len(site.known) == 25
    worker = site.connect().can_do()
    assert len({worker.grab_workload() for _ in range(25)}) == 25
    assert worker.grab() is None


def test_shard_with_idle_jobs_is_left(site):
    site.load(3, 7)
    site.leaves(3)
    site.clears(3)
    assert site.known == [n for n in range(100, 1700) if n % 64 == 7]
    assert len(site.queue.jobs) == 1600
    assert not site.moving.busy


def test_new_jobs_get_no_numbers_of_a_shard_that_leaves(site):
    site.leaves(*range(1, 64))
    numbers = site.submit_some(5)
    assert {number % 64 for number in numbers} == {0}


def test_shard_waits_for_the_job_that_runs(site):
    site.load(3)
    worker = site.connect().can_do()
    handle = worker.grab()
    site.leaves(3, 4)
    site.clears(4)
    site.turn()
    assert site.known == [131]
    worker.send(Command.WORK_COMPLETE, handle, b"r")
    site.clears(3)
    assert 131 not in site.queue.jobs
    assert 195 in site.queue.jobs


def test_job_of_a_lost_worker_leaves(site):
    site.load(3)
    worker = site.connect().can_do()
    worker.grab()
    site.leaves(3)
    site.turn()
    worker.leave()
    site.clears(3)
    assert site.queue.jobs[131].retries == 1


def test_job_that_is_not_stored_yet_is_stored_before_its_shard_leaves(site):
    client = site.connect()
    client.send(BG, b"f", b"", b"w")
    (number,) = site.known
    site.leaves(number % 64)
    site.clears(number % 64)
    assert number in site.queue.jobs
    assert site.known == []
    ((answer, _),) = client.got()
    assert answer == Command.JOB_CREATED


def test_shard_that_stays_is_loaded_again(site):
    site.load(3)
    worker = site.connect().can_do()
    handle = worker.grab()
    site.leaves(3)
    site.turn()
    site.moving.stay({3})
    worker.send(Command.WORK_COMPLETE, handle, b"r")
    site.settle()
    site.load(3)
    assert site.known == [n for n in range(195, 1700) if n % 64 == 3]
    site.leaves(3)
    site.clears(3)


def test_shard_may_stay_while_its_last_changes_are_committed(site):
    site.load(3)
    site.leaves(3)
    site.moving.go_on()
    site.moving.stay({3})
    site.until(lambda: not site.moving._committing)
    assert site.moving.clear() == frozenset()


def test_foreground_job_goes_on_but_nobody_can_make_it_a_stored_one(site):
    client, worker = site.connect(), site.connect().can_do()
    handle = client.submit(unique=b"u")
    number = number_of(handle)
    site.leaves(number % 64)
    site.clears(number % 64)
    client.send(BG, b"f", b"u", b"w")
    site.until(lambda: len(site.known) == 2)
    assert worker.grab() == handle
    assert number not in site.queue.jobs


def test_job_that_others_wait_for_keeps_its_shard(site):
    client = site.connect()
    (first,) = site.submit_some()
    after = b"background=1&after=H:test:%d" % first
    client.send(Command.SUBMIT_JOB_WITH, b"g", b"", after, b"w")
    site.until(lambda: len(site.queue.jobs) == 1602)
    (second,) = {*site.known} - {first}
    site.leaves(first % 64, second % 64)
    for _ in range(3):
        site.turn()
    assert site.known == [first, second]
    worker = site.connect().can_do()
    worker.send(Command.WORK_COMPLETE, worker.grab(), b"")
    site.clears(first % 64, second % 64)
    assert second in site.queue.jobs


def test_dead_jobs_and_results_leave_with_their_shard(site):
    site.connect().ask(b"set function f dead=list")
    site.connect().ask(b"set function f keep=60")
    dead, done = site.submit_some(2)
    worker = site.connect().can_do()
    worker.send(Command.WORK_FAIL, worker.grab())
    worker.send(Command.WORK_COMPLETE, worker.grab(), b"r")
    broker = site.broker
    assert dead in broker.dead.known
    assert done in broker.results.known
    site.leaves(dead % 64, done % 64)
    site.clears(dead % 64, done % 64)
    assert not broker.dead.known
    assert not broker.results.known
    assert {dead, done} <= site.queue.jobs.keys()
    site.load(dead % 64, done % 64)
    assert dead in broker.dead.known
    assert done in broker.results.known
    before = broker.memory.jobs
    site.load(dead % 64, done % 64)
    assert broker.memory.jobs == before


def test_jobs_of_other_shards_stay(site):
    site.connect().ask(b"set function f dead=list")
    (dead,) = site.submit_some()
    worker = site.connect().can_do()
    worker.send(Command.WORK_FAIL, worker.grab())
    site.load(3, 7)
    site.leaves(7)
    site.clears(7)
    assert len(site.known) == 25
    assert dead in site.broker.dead.known


# -- numbers


def numbers_of(server: Server, count: int, unique: bytes = b"") -> list[int]:
    client = server.connect()
    uniques = [unique and b"%b%d" % (unique, n) for n in range(count)]
    handles = [client.submit(unique=each) for each in uniques]
    return [number_of(handle) for handle in handles]


def test_without_a_cluster_numbers_are_successive(make_server):
    server = make_server(first_handle=100)
    assert numbers_of(server, 3) == [100, 101, 102]


def test_numbers_are_of_own_shards(make_server):
    server = make_server(first_handle=100)
    server.broker.stored.own(frozenset({1, 40}))
    assert numbers_of(server, 5) == [104, 129, 168, 193, 232]


def test_unique_gets_a_number_of_its_home_if_that_is_here(make_server):
    server = make_server(first_handle=100)
    server.broker.stored.own(ALL_SHARDS)
    numbers = numbers_of(server, 50, b"u")
    assert numbers == sorted(numbers)
    homes = [home_of(b"u%d" % n, b"w") for n in range(50)]
    assert [number % 64 for number in numbers] == homes
    server.broker.stored.own(frozenset({1}))
    assert {number % 64 for number in numbers_of(server, 5, b"v")} == {1}


def test_without_shards_numbers_are_those_of_nobody(make_server):
    server = make_server(first_handle=100)
    server.broker.stored.own(frozenset())
    first = first_spare(0)
    assert numbers_of(server, 2) == [first, first + 1]
    assert numbers_of(server, 1, b"u") == [first + 2]
    server.broker.stored.own(frozenset({1}))
    assert numbers_of(server, 1) == [129]
    server.broker.stored.own(frozenset())
    assert numbers_of(server, 1) == [first + 3]


def test_settings_belong_to_shard_0(make_server):
    server = make_server(first_handle=100, persistent=True)
    server.broker.stored.own(ALL_SHARDS)
    server.connect().ask(b"set function f dead=list")
    (record,) = server.broker.jobs.records
    assert record.number == 128


def test_settings_from_before_the_cluster_move_to_shard_0(make_server):
    one = make_server(first_handle=100, persistent=True)
    one.connect().ask(b"set function f dead=list")
    (old,) = one.broker.jobs.records
    two = make_server(first_handle=200, persistent=True)
    two.broker.stored.own(ALL_SHARDS)
    two.broker.stored.restore(
        old.number, b"", old.name, b"", old.workload, 1, 0, 0, None, old.extra
    )
    gone, new = two.broker.jobs.records
    assert (gone.number, gone.extra) == (100, b"")
    assert new.number % 64 == 0
    assert (new.name, new.workload, new.extra) == (old.name, old.workload, old.extra)


def test_server_without_shard_0_stores_no_settings(make_server):
    server = make_server(first_handle=100, persistent=True)
    server.broker.stored.own(ALL_SHARDS)
    admin = server.connect()
    admin.ask(b"set function f dead=list")
    server.broker.stored.own(frozenset({1}))
    server.broker.jobs.records.clear()
    admin.ask(b"set function f dead=none")
    admin.ask(b"set function g dead=list")
    admin.ask(b"unset function f")
    assert server.broker.jobs.records == []


def test_foreground_job_without_a_unique_goes_on(site):
    handle = site.connect().submit()
    number = number_of(handle)
    site.leaves(number % 64)
    site.clears(number % 64)
    assert site.known == [number]


def test_result_of_another_shard_stays(site):
    site.connect().ask(b"set function f keep=60")
    (done,) = site.submit_some()
    worker = site.connect().can_do()
    worker.send(Command.WORK_COMPLETE, worker.grab(), b"r")
    site.leaves((done + 1) % 64)
    site.clears((done + 1) % 64)
    assert done in site.broker.results.known


def test_jobs_of_some_shards_are_taken_up_at_the_start(messages):
    server = Server(persistent=True)
    replay(Shared(*map(job, range(100, 1700))), server.broker, {3, 7})
    assert len(server.broker.jobs.known) == 50
    assert messages.count("took up 50 stored jobs in")


def test_server_without_shard_0_sets_and_runs_no_schedule(make_server):
    server = make_server(first_handle=100, persistent=True)
    schedules = server.broker.schedules
    schedules.read = lambda name, text: Schedule(name, "* * * * *", UTC, b"f")
    schedules.load([Schedule("s", "* * * * *", UTC, b"f")], Minutes(), server.wall)
    schedules.pause("s", True, server.wall)
    assert schedules.known["s"].number
    schedules.pause("s", False, server.wall)
    server.broker.stored.own(frozenset({1}))
    assert schedules.known["s"].number == 0
    assert "another server" in schedules.run("s")
    assert "another server" in schedules.set("t", b"", server.wall)
    server.broker.jobs.records.clear()
    server.after(120)
    assert server.broker.jobs.known == {}
    assert server.broker.jobs.records == []
    server.broker.stored.own(frozenset({0}))
    server.after(60)
    assert len(server.broker.jobs.known) == 1


class Minutes:
    """Runs each minute."""

    def following(self, schedule: Schedule, after: float) -> float:
        return after - after % 60 + 60

    def preceding(self, schedule: Schedule, until: float) -> float:
        return until - until % 60
