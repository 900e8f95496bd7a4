"""The changes that wait to be stored: jobs and records to add, and those to remove.

Of several changes of one number, only the last one counts, so no job is added again
after it was removed. The oldest changes are taken out first, so a job is overtaken by
no other jobs than those of its own batch. A record is what the store keeps beside jobs.
"""

from collections.abc import Iterable
from itertools import islice

from ...queue import StoredJob
from ..broker import Job, Record

# The most changes of one commit, and the most bytes of its workloads, options and
# attempts; one job may be larger.
MAX_CHANGES = 8192
MAX_BYTES = 16 * 1024 * 1024

# If so many jobs or bytes wait, the connections that submit more are not read from.
FULL_JOBS = 16384
FULL_BYTES = 64 * 1024 * 1024

# So many removals are committed without waiting for more.
MANY = 4096

# A job or record to be added, by its number; or None, if it is to be removed.
Added = Job | Record
Changes = dict[int, Added | None]


class Journal:
    """The changes that wait for a commit."""

    def __init__(self) -> None:
        self._changes: Changes = {}
        # Whether there ever was a record.
        self.mixed = False
        # By number, the bytes that are stored of options and attempts. They are kept
        # here, since a job may have others before its commit.
        self._extras: dict[int, int] = {}
        # Jobs to be added, and their bytes; and the same for the jobs that were taken
        # out, until their outcome is known.
        self._jobs = self._bytes = 0
        self._taken_jobs = self._taken_bytes = 0

    def __len__(self) -> int:
        return len(self._changes)

    @property
    def urgent(self) -> bool:
        """Whether to commit now: a client waits for it, or there are many changes."""
        return self._jobs > 0 or len(self._changes) >= MANY

    @property
    def full(self) -> bool:
        """Whether so much waits that no more jobs should be submitted."""
        jobs = self._jobs + self._taken_jobs
        return jobs >= FULL_JOBS or self._bytes + self._taken_bytes >= FULL_BYTES

    def write(self, changes: Iterable[Added | int]) -> None:
        """Add changes in their order: a job is to be added, a number to be removed."""
        for change in changes:
            if isinstance(change, int):
                self._note(change, None)
            else:
                self._note(change.number, change)
                self._jobs += 1
                self._bytes += len(change.workload)
                extra = change.extra
                if extra is not None:
                    record = extra if isinstance(extra, bytes) else extra.record
                    self._extras[change.number] = len(record)
                    self._bytes += len(record)

    def write_records(self, records: Iterable[Record]) -> None:
        """Add records; one without `extra` stands for a removal."""
        for record in records:
            if record.extra:
                self.mixed = True
                self.write((record,))
            else:
                self._note(record.number, None)

    def _note(self, number: int, job: Added | None) -> None:
        if number in self._changes:
            self._strike(number)
        self._changes[number] = job

    def _size(self, job: Added) -> int:
        return len(job.workload) + self._extras.get(job.number, 0)

    def _strike(self, number: int) -> None:
        job = self._changes.pop(number)
        if job is not None:
            self._jobs -= 1
            self._bytes -= self._size(job)
            self._extras.pop(number, None)

    def take(self, most: int = MAX_CHANGES) -> Changes:
        """Take out the changes of the next commit, at most `most` of them.

        Call `landed` before the next call.
        """
        if len(self._changes) <= most and self._bytes <= MAX_BYTES:
            taken, self._changes = self._changes, {}
            self._taken_jobs, self._taken_bytes = self._jobs, self._bytes
            self._jobs = self._bytes = 0
            self._extras.clear()
            return taken
        return self._take_some(most)

    def _take_some(self, most: int) -> Changes:
        taken: Changes = {}
        for number, job in islice(self._changes.items(), most):
            if job is not None:
                size = self._size(job)
                if taken and self._taken_bytes + size > MAX_BYTES:
                    break
                self._taken_jobs += 1
                self._taken_bytes += size
            taken[number] = job
        for number in taken:
            self._strike(number)
        return taken

    def landed(self) -> None:
        """Forget the changes that were taken out: their outcome is known."""
        self._taken_jobs = self._taken_bytes = 0

    def put_back(self, changes: Changes) -> None:
        """Keep the failed removals, except of jobs that have newer changes."""
        failed: Changes = {n: None for n, job in changes.items() if job is None}
        self._changes = failed | self._changes

    def drop_jobs(self) -> list[Added]:
        """Remove and return all jobs that wait to be added."""
        jobs = jobs_of(self._changes)
        self._changes = {n: None for n, job in self._changes.items() if job is None}
        self._jobs = self._bytes = 0
        self._extras.clear()
        return jobs


def jobs_of(changes: Changes) -> list[Added]:
    """Return the jobs and records that are to be added."""
    return [job for job in changes.values() if job is not None]


def stored(job: Added) -> StoredJob:
    """Return a job or record as a plugin stores it."""
    if isinstance(job, Record):
        number, handle, name, data = job.number, job.handle, job.name, job.workload
        return StoredJob(number, handle, name, b"", data, extra=job.extra)
    return StoredJob(
        job.number,
        job.handle,
        job.function.name,
        job.unique,
        job.workload,
        job.priority,
        job.when,
        job.retries,
        job.reducer,
        b"" if job.extra is None else job.extra.record,
    )
