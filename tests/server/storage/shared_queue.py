"""A queue plugin in memory whose jobs several servers share."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from gearman.errors import QueueError
from gearman.queue import Page, Queue, StoredJob

# Jobs of a page.
PAGE = 10


class Shared(Queue):
    """Has its jobs in `jobs`. The next `failures` calls fail."""

    def __init__(self, *jobs: StoredJob) -> None:
        self.jobs = {job.number: job for job in jobs}
        self.failures = 0

    def _work(self) -> None:
        if self.failures:
            self.failures -= 1
            raise QueueError("the database is down")

    def replay(self) -> Iterator[StoredJob]:
        yield from self.jobs.values()

    def read(self, shards: AbstractSet[int], after: int) -> Page:
        self._work()
        numbers = [n for n in sorted(self.jobs) if n > after and n % 64 in shards]
        found = [self.jobs[number] for number in numbers[:PAGE]]
        return Page(found, found[-1].number if found else None)

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._work()
        for number in done:
            self.jobs.pop(number, None)
        self.jobs.update((job.number, job) for job in added)

    def close(self) -> None:
        pass
