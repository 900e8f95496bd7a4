"""The dead list: background jobs that were given up, until somebody decides."""

from collections import OrderedDict
from math import inf

from ..functions import Functions
from ..jobs import Jobs
from ..making import number_of
from ..memory import DEAD_MEMORY, extra_size, job_size
from ..model import Job
from ..places import Places
from ..states import FORGOTTEN, GONE, REVIVED, SHELVED
from .ranges import Ranges

# The most dead jobs, and the seconds after which they are dropped, by default.
MAX_DEAD = 10_000
DEAD_AGE = 180 * 24 * 3600.0

_NONE: OrderedDict[int, Job] = OrderedDict()

# At most so many old jobs are dropped in one turn.
MANY_OLD = 1000


class DeadJobs:
    """The dead jobs, the one that died first comes first.

    If there are more than `most`, or if one is older than `age` seconds, the oldest is
    dropped. `first` is when to call `drop_old`, in seconds since the epoch.
    """

    def __init__(self, places: Places, functions: Functions, jobs: Jobs) -> None:
        self.most = MAX_DEAD
        self.age = DEAD_AGE
        self.first = inf
        # Ordered dictionaries, since the first item of others is not found at once
        # after many were removed.
        self.known: OrderedDict[int, Job] = OrderedDict()
        self.by_function: dict[bytes, OrderedDict[int, Job]] = {}
        self.ranges = Ranges(self.known)
        self._places = places
        self._functions = functions
        self._jobs = jobs

    def add(self, job: Job) -> None:
        """Add a job that is DEAD and is no longer known to `Jobs`."""
        self._put(job)
        self._count(job)
        self.keep_at_most(self.most)

    def keep_at_most(self, most: int) -> None:
        """Set the limit, and drop the oldest jobs that are over it.

        If these are many, later turns drop the rest.
        """
        self.most = max(most, 0)
        self._set_first()
        for _ in range(MANY_OLD):
            if len(self.known) <= self.most:
                break
            self.forget(next(iter(self.known.values())))

    def find(self, handle: bytes) -> Job | None:
        """Return the dead job of this handle."""
        job = self.known.get(number_of(handle))
        return job if job is not None and job.handle == handle else None

    def of(self, name: bytes, most: int) -> list[Job]:
        """Return up to `most` dead jobs of a function, the first ones."""
        found: list[Job] = []
        for job in self.by_function.get(name, _NONE).values():
            if len(found) >= most:
                break
            found.append(job)
        return found

    def count(self, name: bytes) -> int:
        """Return how many dead jobs a function has."""
        return len(self.by_function.get(name, _NONE))

    def revive(self, job: Job) -> None:
        """Queue a dead job, with all its attempts."""
        self._remove(job)
        self._places.move(job, REVIVED, GONE)
        jobs, extra = self._jobs, job.extra
        assert extra is not None  # noqa: S101
        extra.attempts = 0
        extra.died = 0.0
        extra.reason = b""
        extra.error = None
        function = self._functions.of(job.function.name)
        new = jobs.make_again(job, function, job.workload)
        new.when = job.when
        new.extra = extra
        jobs.resize(extra, extra_size(extra.options) + len(extra.record))
        if new.stored:
            jobs.store(new)
        else:
            # A dead entry of a queue may still have the old job.
            job.workload = b""
        jobs.place(new, REVIVED)

    def forget(self, job: Job) -> None:
        """Drop a dead job."""
        self._remove(job)
        self._places.move(job, FORGOTTEN, GONE)
        if job.stored:
            self._jobs.changes.append(job.number)
        else:
            # A dead entry of a queue may still have the job.
            job.workload = b""

    def leave(self, job: Job) -> None:
        """Leave a dead job to another server, in whose store it is."""
        self._remove(job)
        self._places.move(job, SHELVED, GONE)

    def drop_old(self, now: float) -> None:
        """Drop the dead jobs that are too old, or over the limit."""
        for _ in range(MANY_OLD):
            if self.first > now:
                break
            self.forget(next(iter(self.known.values())))

    def sort(self) -> None:
        """Put the jobs into the order of their deaths, after they were restored."""
        ordered = sorted(self.known.values(), key=_death)
        self.known.clear()
        self.by_function.clear()
        for job in ordered:
            self._put(job)
        self._set_first()

    def _put(self, job: Job) -> None:
        self.known[job.number] = job
        self.ranges.add(job.number)
        of_function = self.by_function.setdefault(job.function.name, OrderedDict())
        of_function[job.number] = job

    def _remove(self, job: Job) -> None:
        assert job.extra is not None  # noqa: S101
        del self.known[job.number]
        of_function = self.by_function[job.function.name]
        del of_function[job.number]
        if not of_function:
            del self.by_function[job.function.name]
        self._jobs.resize(job.extra, 0)
        self._set_first()

    def _set_first(self) -> None:
        self.first = inf
        for job in self.known.values():
            assert job.extra is not None  # noqa: S101
            self.first = job.extra.died + self.age
            if len(self.known) > self.most:
                self.first = self._places.wall
            break

    def _count(self, job: Job) -> None:
        """Count the memory of a job that is added."""
        extra = job.extra
        assert extra is not None  # noqa: S101
        size = DEAD_MEMORY + job_size(job.workload, job.unique)
        size += extra_size(extra.options)
        size += len(extra.reason) + len(extra.error or b"") + len(extra.record)
        self._jobs.resize(extra, size + len(job.reducer or b""))


def _death(job: Job) -> float:
    extra = job.extra
    assert extra is not None  # noqa: S101
    return extra.died
