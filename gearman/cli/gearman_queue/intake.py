"""Adding jobs to a store that may have some of them already.

A job is there already if the store has one under its number that is the same: of the
same function, unique, workload, priority and time. What becomes of a job while a
server has it does not count, nor does what not every store keeps. If it is another
job that has the number, the job gets a second number, which follows from the first;
or a third, and so on. So whoever adds the same jobs once more adds nothing.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Final

from ...errors import JobRefused, QueueError
from ...queue import Queue, StoredJob

# What one commit takes at most: jobs, and bytes of workloads beyond the first job's.
_MOST_JOBS: Final = 1000
_MOST_BYTES: Final = 16 * 1024 * 1024

_DIGEST: Final = 16
# By this bit the numbers of servers, which are microseconds since the epoch, lie in
# other years: what is moved aside stays in its order, and meets no other jobs.
_ASIDE: Final = 49
_PLACES: Final = 1 << (62 - _ASIDE)


def digest(job: StoredJob) -> bytes:
    """Return what is the same for jobs that are the same."""
    lengths = b"%d %d %d %d " % (
        *(job.priority, job.when),
        *(len(job.function), len(job.unique)),
    )
    found = blake2b(lengths + job.function + job.unique, digest_size=_DIGEST)
    found.update(job.workload)
    return found.digest()


def places(number: int) -> Iterator[int]:
    """Yield the numbers that a job of this number may get, always the same ones."""
    for place in range(_PLACES):
        if number != place << _ASIDE:
            yield number ^ place << _ASIDE


class Ledger:
    """The digests of jobs by their numbers.

    It takes 24 bytes for each that comes in the order of the numbers.
    """

    def __init__(self) -> None:
        self._numbers = array("q")
        self._digests = bytearray()
        self._others: dict[int, bytes] = {}

    def put(self, number: int, digest: bytes) -> None:
        """Note a job of a number that has none yet."""
        if self._numbers and number < self._numbers[-1]:
            self._others[number] = digest
        else:
            self._numbers.append(number)
            self._digests += digest

    def get(self, number: int) -> bytes | None:
        """Return the digest of the job that has this number, None if none has it."""
        position = bisect_left(self._numbers, number)
        if position < len(self._numbers) and self._numbers[position] == number:
            start = position * _DIGEST
            return bytes(self._digests[start : start + _DIGEST])
        return self._others.get(number)


class Intake:
    """Brings jobs into a store, in batches.

    `stored` are those that the store has now, `refuse` is called with a sentence about
    each that it can't take. `added` counts the jobs that are durable, `moved` those of
    them that got another number, `present` those that were there already.
    """

    def __init__(
        self, queue: Queue, stored: Iterable[StoredJob], refuse: Callable[[str], None]
    ) -> None:
        self._queue = queue
        self._refuse = refuse
        self._ledger = Ledger()
        for job in stored:
            self._ledger.put(job.number, digest(job))
        self._moved: set[int] = set()
        self.added = self.moved = self.present = 0

    def take(self, jobs: Iterable[StoredJob]) -> None:
        """Add jobs, but those that are there. Raises QueueError if the store fails."""
        for batch in batches(self._placed(jobs)):
            self._commit(batch)

    def _placed(self, jobs: Iterable[StoredJob]) -> Iterator[StoredJob]:
        for job in jobs:
            number = self._place(job)
            if number is None:
                self.present += 1
            elif number == job.number:
                yield job
            else:
                self._moved.add(number)
                yield job._replace(number=number, handle=b"")

    def _place(self, job: StoredJob) -> int | None:
        """Return the number that a job shall have, None if it is there already."""
        own = digest(job)
        for number in places(job.number):
            found = self._ledger.get(number)
            if found == own:
                return None
            if found is None:
                self._ledger.put(number, own)
                return number
        raise QueueError(f"there is no number left for the job {job.number}")

    def _commit(self, batch: list[StoredJob]) -> None:
        try:
            self._queue.commit(batch, ())
        except JobRefused as error:
            rest = [job for job in batch if job.number not in error.reasons]
            if len(rest) == len(batch):
                raise
            for number, reason in error.reasons.items():
                self._refuse(f"job {number} cannot be stored: {reason}")
            if rest:
                self._commit(rest)
        else:
            self.added += len(batch)
            moved = self._moved.intersection(job.number for job in batch)
            self.moved += len(moved)
            self._moved -= moved


def batches(jobs: Iterable[StoredJob]) -> Iterator[list[StoredJob]]:
    """Yield as many jobs at a time as one commit may take."""
    batch: list[StoredJob] = []
    size = 0
    for job in jobs:
        if batch and (
            len(batch) >= _MOST_JOBS or size + len(job.workload) > _MOST_BYTES
        ):
            yield batch
            batch, size = [], 0
        batch.append(job)
        size += len(job.workload)
    if batch:
        yield batch
