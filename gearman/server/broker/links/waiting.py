"""Borrowed jobs that no worker has started, and when they are given back."""

from math import inf

from ..model import Function, Job
from .ahead import Ahead

# Seconds of the monotonic clock that a job waits for a worker: one that was woken, or
# one that runs another job.
PATIENCE = 1.0
BEHIND = 0.2


class Waiting:
    """The jobs, each with its time; `ahead` counts them.

    No job has to be given back before `first`.
    """

    def __init__(self, ahead: Ahead) -> None:
        self.first = inf
        self._ahead = ahead
        # In the order of their times.
        self._woken: dict[Job, float] = {}
        self._behind: dict[Job, float] = {}

    def add(self, job: Job, now: float, behind: bool) -> None:
        """Let a job wait from now on, `behind` others or for a woken worker."""
        until = now + (BEHIND if behind else PATIENCE)
        (self._behind if behind else self._woken)[job] = until
        # It stays when the job is started: to set a timer anew costs more.
        self.first = min(self.first, until)
        self._ahead.waits(job.function.name, 1)

    def remove(self, job: Job) -> None:
        """Forget a job, if it waits."""
        if job in self._behind:
            del self._behind[job]
        elif job in self._woken:
            del self._woken[job]
        else:
            return
        self._ahead.waits(job.function.name, -1)

    def of(self, function: Function) -> list[Job]:
        """Return the jobs of a function."""
        found = [job for job in self._woken if job.function is function]
        found += [job for job in self._behind if job.function is function]
        return found

    def due(self, now: float) -> list[Job]:
        """Return the jobs whose time is over; they must be removed then."""
        found = [job for job, until in self._woken.items() if until <= now]
        found += [job for job, until in self._behind.items() if until <= now]
        return found

    def look(self) -> None:
        """Set `first` anew, after those that are due were removed."""
        self.first = min(
            next(iter(self._woken.values()), inf),
            next(iter(self._behind.values()), inf),
        )

    def clear(self) -> None:
        """Forget all jobs."""
        self._woken.clear()
        self._behind.clear()
