"""The flatfile queue loses no job by a crash at any step, or by a failing call."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from errno import EIO, ENOSPC
from pathlib import Path

import pytest
from gearman.queues.flatfile.queue import Queue

from gearman.errors import QueueError
from gearman.queue import StoredJob
from tests.queues.simulated_disk import SimulatedDisk, real_disk, simulated_disk

Jobs = dict[int, StoredJob]
Batch = tuple[list[StoredJob], list[int]]

# Small, so that segments are created and deleted every few commits.
SEGMENT = 700

CODES = (EIO, ENOSPC)


def batches(seed: int, amount: int) -> Iterator[Batch]:
    """Yield commits: most jobs end soon, some are replaced, some stay for long."""
    chance = random.Random(seed)
    numbers = itertools.count(1)
    live: list[int] = []
    for _ in range(amount):
        fresh = list(itertools.islice(numbers, chance.randrange(4)))
        old = [number for number in live if chance.random() < 0.05]
        done = [
            number
            for number in live
            if number not in old and number % 10 and chance.random() < 0.5
        ]
        live = [number for number in live if number not in done] + fresh
        yield [job(number, chance) for number in fresh + old], done


def job(number: int, chance: random.Random) -> StoredJob:
    workload = chance.randbytes(chance.randrange(150))
    stored = StoredJob(number, b"H:host:%d" % number, b"f", b"u", workload)
    return stored._replace(extra=b"x" * (number % 2))


def after(jobs: Jobs, batch: Batch) -> Jobs:
    added, done = batch
    new = {number: job for number, job in jobs.items() if number not in done}
    return new | {job.number: job for job in added}


def open_queue(folder: Path) -> Queue:
    return Queue(folder=str(folder), segment_size=SEGMENT)


class Observer:
    """Opens copies of a disk, and checks the jobs on them."""

    def __init__(self, disk: SimulatedDisk, copies: Path) -> None:
        self.disk = disk
        self.copies = map(copies.joinpath, map(str, itertools.count()))
        self.before: Jobs = {}
        self.after: Jobs = {}
        self.looked = 0
        self._seen: dict[frozenset[tuple[str, bytes]], Jobs] = {}
        copies.mkdir()

    def look(self) -> None:
        """Check the state after a crash at this moment."""
        for files in dict.fromkeys(frozenset(v.items()) for v in self.disk.views()):
            if files not in self._seen:
                self._seen[files] = self.content(dict(files))
            self.check(self._seen[files])
            self.looked += 1

    def content(self, view: Mapping[str, bytes]) -> Jobs:
        folder = next(self.copies)
        folder.mkdir()
        for name, data in view.items():
            (folder / name).write_bytes(data)
        with real_disk(), closing(open_queue(folder)) as queue:
            found = list(queue.replay())
            queue.commit([], [])
        jobs = {job.number: job for job in found if isinstance(job, StoredJob)}
        assert len(jobs) == len(found), found
        return jobs

    def check(self, found: Jobs) -> None:
        for number in self.before.keys() | self.after.keys() | found.keys():
            allowed = [self.before.get(number), self.after.get(number)]
            assert found.get(number) in allowed, number


def commit(queue: Queue, observer: Observer, batch: Batch) -> None:
    observer.after = after(observer.before, batch)
    while True:
        try:
            queue.commit(*batch)
        except QueueError:
            observer.look()
        else:
            break
    observer.before = observer.after


def not_much_is_dead(observer: Observer) -> bool:
    """Whether the files are about as small as the manual says."""
    files = observer.disk.now()
    size = sum(len(files[name]) for name in files if name.endswith(".jobs"))
    # Bytes of a record in addition to its workload.
    live = sum(len(job.workload) + 75 for job in observer.before.values())
    return size < 2 * live + 3 * SEGMENT


@pytest.fixture
def observed(tmp_path: Path) -> Iterator[Observer]:
    with simulated_disk(tmp_path / "store") as disk:
        yield Observer(disk, tmp_path / "copies")


@pytest.mark.parametrize("seed", range(2))
def test_crash_between_any_two_calls_loses_nothing(
    observed: Observer, seed: int
) -> None:
    queue = open_queue(observed.disk.folder)
    observed.disk.step = observed.look
    deleted = 0
    for batch in batches(seed, 60):
        before = set(observed.disk.now())
        commit(queue, observed, batch)
        observed.look()
        deleted += len(before - set(observed.disk.now()))
    queue.close()
    assert deleted > 5
    assert observed.looked > 500


def fail(numbers: range, code: int) -> Callable[[int, str], int]:
    return lambda number, call: code * (number in numbers)


@pytest.mark.parametrize(
    ("together", "codes"), [(1, CODES), (2, CODES[::-1]), (5, CODES)]
)
def test_any_calls_may_fail_and_nothing_is_lost(
    tmp_path: Path, together: int, codes: tuple[int, int]
) -> None:
    for first in itertools.count(1):
        # The second test fails each call with the other code.
        code = codes[first % 2]
        with simulated_disk(tmp_path / f"store {first}") as disk:
            observer = Observer(disk, tmp_path / f"copies {first}")
            queue = open_queue(disk.folder)
            failing = range(disk.calls + first, disk.calls + first + together)
            disk.failing = fail(failing, code)
            for batch in batches(first, 24):
                commit(queue, observer, batch)
            observer.look()
            assert not_much_is_dead(observer)
            queue.close()
            if disk.calls < failing.start:
                break
    assert first > 80
