"""Adding jobs to a store that may have some of them already.

A job is already there if the store has the same job under its number: the same
function, unique, workload, priority and time. The other fields are not compared, since
a server changes them, or some stores do not keep them. If another job has the number,
the job gets a second number, which is computed from the first; or a third, and so on.
So if the same jobs are added again, nothing is added.

A policy or a schedule is already there if the store has one of that name, since a
server has only one. A result is of use only under the number in the handle of its job:
if another record has that number, the result is refused.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Final

from ...errors import JobRefused, QueueError
from ...queue import Queue, StoredJob
from .kinds import KEPT_RESULT, SETTINGS, kind

# The most jobs of one commit, and the most bytes of their workloads and extras; one job
# may be larger.
_MOST_JOBS: Final = 1000
_MOST_BYTES: Final = 16 * 1024 * 1024

_DIGEST: Final = 16
# Servers use microseconds since the epoch as numbers. Changing bits from this one on
# gives numbers of other years: moved jobs keep their order, and their new numbers are
# free.
_ASIDE: Final = 49
_PLACES: Final = 1 << (62 - _ASIDE)


def digest(job: StoredJob) -> bytes:
    """Return a hash of the fields that are compared."""
    lengths = b"%d %d %d %d " % (
        *(job.priority, job.when),
        *(len(job.function), len(job.unique)),
    )
    found = blake2b(lengths + job.function + job.unique, digest_size=_DIGEST)
    found.update(job.workload)
    return found.digest()


def places(number: int) -> Iterator[int]:
    """Yield the numbers that a job with this number may get, always the same ones."""
    for place in range(_PLACES):
        if number != place << _ASIDE:
            yield number ^ place << _ASIDE


class Ledger:
    """The digests of jobs by their numbers.

    It takes 24 bytes for each job that is added in the order of the numbers.
    """

    def __init__(self) -> None:
        self._numbers = array("q")
        self._digests = bytearray()
        self._others: dict[int, bytes] = {}

    def put(self, number: int, digest: bytes) -> None:
        """Add a job, whose number must be new."""
        if self._numbers and number < self._numbers[-1]:
            self._others[number] = digest
        else:
            self._numbers.append(number)
            self._digests += digest

    def get(self, number: int) -> bytes | None:
        """Return the digest of the job with this number, or None."""
        position = bisect_left(self._numbers, number)
        if position < len(self._numbers) and self._numbers[position] == number:
            start = position * _DIGEST
            return bytes(self._digests[start : start + _DIGEST])
        return self._others.get(number)


class Intake:
    """Adds jobs to a store, in batches.

    `stored` are the jobs that the store has now. `refuse` is called with a sentence for
    each job that it can't store. `added` counts the jobs that are durable, `moved`
    those of them with another number, `present` the jobs that were already there.
    """

    def __init__(
        self, queue: Queue, stored: Iterable[StoredJob], refuse: Callable[[str], None]
    ) -> None:
        self._queue = queue
        self._refuse = refuse
        self._ledger = Ledger()
        # The kinds and names of policies and schedules.
        self._settings: set[tuple[str, bytes]] = set()
        for job in stored:
            self._ledger.put(job.number, digest(job))
            self._note(job, kind(job))
        self._moved: set[int] = set()
        self.added = self.moved = self.present = 0

    def take(self, jobs: Iterable[StoredJob]) -> None:
        """Add the jobs that are not there yet. Raises QueueError if the store fails."""
        for batch in batches(self._placed(jobs)):
            self._commit(batch)

    def _placed(self, jobs: Iterable[StoredJob]) -> Iterator[StoredJob]:
        for job in jobs:
            what = kind(job)
            number = self._place(job, what)
            if number is None:
                self.present += 1
            elif number != job.number and what == KEPT_RESULT:
                self._refuse(
                    f"result {job.number} cannot be stored: another record has its"
                    " number, by which clients ask for it"
                )
            else:
                self._note(job, what)
                self._ledger.put(number, digest(job))
                yield self._numbered(job, number)

    def _numbered(self, job: StoredJob, number: int) -> StoredJob:
        """Return a job with this number; with a new one it has no handle."""
        if number == job.number:
            return job
        self._moved.add(number)
        return job._replace(number=number, handle=b"")

    def _note(self, job: StoredJob, what: str) -> None:
        """Remember a policy or a schedule."""
        if what in SETTINGS:
            self._settings.add((what, job.function))

    def _place(self, job: StoredJob, what: str) -> int | None:
        """Return the number for a job, or None if the job is already there."""
        if (what, job.function) in self._settings:
            return None
        own = digest(job)
        for number in places(job.number):
            found = self._ledger.get(number)
            if found == own:
                return None
            if found is None:
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
    """Yield the jobs in batches, one for each commit."""
    batch: list[StoredJob] = []
    size = 0
    for job in jobs:
        own = len(job.workload) + len(job.extra)
        if batch and (len(batch) >= _MOST_JOBS or size + own > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(job)
        size += own
    if batch:
        yield batch
