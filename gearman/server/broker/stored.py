"""Background jobs that are kept in a store.

Such a job is acknowledged, and can be grabbed, only after it was stored. The code that
owns the store takes the changes from `Jobs.changes`, and reports the outcome here.
"""

from collections.abc import Sequence

from .answers import Answers
from .constants import ERROR, JOB_CREATED
from .functions import Functions
from .jobs import Jobs
from .memory import job_size
from .model import Job
from .places import Places
from .states import GONE, PENDING, RESTORED, RUNNING, STORED, UNSTORED


class StoredJobs:
    """The verbs of the code that owns the store."""

    def __init__(
        self, functions: Functions, places: Places, answers: Answers, jobs: Jobs
    ) -> None:
        self._functions = functions
        self._places = places
        self._answers = answers
        self._jobs = jobs

    def add(self, job: Job) -> None:
        """Have a job stored. A new job is pending until then."""
        job.stored = True
        job.receipts = []
        self._jobs.changes.append(job)

    def durable(self, jobs: list[Job]) -> None:
        """Acknowledge jobs that are stored, and let them be grabbed."""
        for job in jobs:
            self._answers.settle(job, JOB_CREATED, (job.handle,))
            if job.state == PENDING:
                self._jobs.place(job, STORED)
            else:
                self._jobs.shelve(job)
        self._answers.pay()

    def failed(self, jobs: list[Job], reason: bytes) -> None:
        """Refuse jobs that could not be stored.

        A failed commit may still have stored them, so they are removed from the store.
        If a job was stored before, and only a change of it failed, it stays as it was.
        """
        for job in jobs:
            if job.receipts is None:
                continue
            self._answers.settle(job, ERROR, (b"QUEUE_ERROR", reason))
            job.background = False
            if job.state == RUNNING or (job.state != PENDING and job.wanted()):
                # It continues for the clients that wait for its result.
                job.stored = False
                self._jobs.changes.append(job.number)
            else:
                self._places.move(job, UNSTORED, GONE)
                self._jobs.retire(job)
        self._answers.pay()

    def store_again(self, numbers: Sequence[int]) -> None:
        """Store again jobs that the store has lost."""
        for number in numbers:
            job = self._jobs.known.get(number)
            if job is not None and job.stored:
                self._jobs.changes.append(job)

    def restore(
        self,
        number: int,
        handle: bytes,
        name: bytes,
        unique: bytes,
        workload: bytes,
        priority: int,
        when: int,
        retries: int,
        reducer: bytes | None,
        extra: bytes = b"",
    ) -> None:
        """Add a job that an earlier run of the server has stored.

        It keeps its handle if this ends with its number, as all handles do. `extra` has
        no meaning yet.
        """
        jobs = self._jobs
        following = max(jobs.next_number, number + 1)
        jobs.next_number = number
        size = job_size(workload, unique)
        job = jobs.make(self._functions.of(name), unique, workload, size)
        jobs.next_number = following
        if handle.endswith(b":%d" % number):
            job.handle = handle
        job.priority = priority
        job.background = True
        job.stored = True
        job.when = when
        job.retries = retries
        if reducer is not None:
            jobs.reduce(job, reducer)
        jobs.uniques.add(job)
        jobs.place(job, RESTORED)

    def shelve(self) -> int:
        """Leave stored jobs to the next run of the server; return how many there are.

        From now on this is done for every stored job that does not run and that no
        client waits for. Such a job is unknown then.
        """
        self._jobs.shelving = True
        jobs = list(self._jobs.known.values())
        for job in jobs:
            self._jobs.shelve(job)
        return len(jobs) - len(self._jobs.known)
