"""What a store still has to be told: jobs to add and jobs to remove.

The last word on a job is what counts, so that no job is added again after it was
removed; and what is taken out is what came first, so that no job is overtaken by
more than those that are taken out with it.
"""

from collections.abc import Iterable
from itertools import islice

from ..broker import Job

# What one commit takes at most: jobs, and bytes of workloads beyond the first job's.
MAX_CHANGES = 8192
MAX_BYTES = 16 * 1024 * 1024

# What may wait before those who submit more are not read from any longer.
FULL_JOBS = 16384
FULL_BYTES = 64 * 1024 * 1024

# So many removals are worth a commit of their own.
MANY = 4096

# A job to be added, by its number; or None, if it is to be removed.
Changes = dict[int, Job | None]


class Journal:
    """Changes of the store that wait for their turn."""

    def __init__(self) -> None:
        self._changes: Changes = {}
        # Jobs to be added, with the bytes of their workloads; and of those, what was
        # taken out but has no outcome yet.
        self._jobs = self._bytes = 0
        self._taken_jobs = self._taken_bytes = 0

    def __len__(self) -> int:
        return len(self._changes)

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for the next commit, or it is worth its while."""
        return self._jobs > 0 or len(self._changes) >= MANY

    @property
    def full(self) -> bool:
        """Whether nobody should submit any more for a while."""
        jobs = self._jobs + self._taken_jobs
        return jobs >= FULL_JOBS or self._bytes + self._taken_bytes >= FULL_BYTES

    def write(self, changes: Iterable[Job | int]) -> None:
        """Note jobs to be added and numbers of jobs to be removed, in their order."""
        for change in changes:
            if isinstance(change, int):
                self._note(change, None)
            else:
                self._note(change.number, change)
                self._jobs += 1
                self._bytes += len(change.workload)

    def _note(self, number: int, job: Job | None) -> None:
        if number in self._changes:
            self._strike(number)
        self._changes[number] = job

    def _strike(self, number: int) -> None:
        job = self._changes.pop(number)
        if job is not None:
            self._jobs -= 1
            self._bytes -= len(job.workload)

    def take(self, most: int = MAX_CHANGES) -> Changes:
        """Take out what the next commit is to do, at most so many changes.

        Nothing else is taken out before `landed`.
        """
        if len(self._changes) <= most and self._bytes <= MAX_BYTES:
            taken, self._changes = self._changes, {}
            self._taken_jobs, self._taken_bytes = self._jobs, self._bytes
            self._jobs = self._bytes = 0
            return taken
        return self._take_some(most)

    def _take_some(self, most: int) -> Changes:
        taken: Changes = {}
        for number, job in islice(self._changes.items(), most):
            if job is not None:
                if taken and self._taken_bytes + len(job.workload) > MAX_BYTES:
                    break
                self._taken_jobs += 1
                self._taken_bytes += len(job.workload)
            taken[number] = job
        for number in taken:
            self._strike(number)
        return taken

    def landed(self) -> None:
        """Forget what was taken out: there is an outcome."""
        self._taken_jobs = self._taken_bytes = 0

    def put_back(self, changes: Changes) -> None:
        """Keep removals that failed, unless there is news of their jobs."""
        failed: Changes = {n: None for n, job in changes.items() if job is None}
        self._changes = failed | self._changes

    def drop_jobs(self) -> list[Job]:
        """Give up all jobs that wait to be added, and return them."""
        jobs = jobs_of(self._changes)
        self._changes = {n: None for n, job in self._changes.items() if job is None}
        self._jobs = self._bytes = 0
        return jobs


def jobs_of(changes: Changes) -> list[Job]:
    """Return the jobs that are to be added."""
    return [job for job in changes.values() if job is not None]
