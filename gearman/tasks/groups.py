"""Groups: jobs that were submitted together, to be waited for together."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar, cast

from ..errors import JobFailed, ResultNotReady, UnknownJob
from .task import Call, Job, Task

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)

# Seconds that the results of a group are kept if its tasks do not say it.
KEEP = 3600.0

# Seconds between two questions for the jobs that have ended: at first, and at most.
_PAUSE = 0.005
_LONGEST_PAUSE = 0.25


class Gathering(Protocol[R_contra, S_co]):
    """A task whose first parameter is a list of results."""

    def bind(self, results: R_contra, /, *args: Any, **kwargs: Any) -> Call[S_co]:
        """Return a call of the task."""


class Group(Generic[R]):
    """Jobs in the order in which they were given, all on one server.

    Their results are kept, so that they can be asked for later.
    """

    def __init__(self, jobs: list[Job[R]]) -> None:
        self.jobs = jobs

    def __len__(self) -> int:
        return len(self.jobs)

    def __iter__(self) -> Iterator[Job[R]]:
        return iter(self.jobs)

    def results(self, wait: float | None = None) -> list[R]:
        """Return all results, waiting `wait` seconds in all (None: no limit).

        Raises as `Job.result` does, for the first job that has no result.
        """
        end = None if wait is None else time.monotonic() + wait
        return [job.result(_left(end)) for job in self.jobs]

    def completed(self, wait: float | None = None) -> Iterator[Job[R]]:
        """Yield each job soon after it has ended, successful or not.

        Raises ResultNotReady after `wait` seconds (None: no limit).
        """
        end = None if wait is None else time.monotonic() + wait
        waiting, pause = list(self.jobs), _PAUSE
        while waiting:
            ended = self._ended(waiting)
            yield from ended
            waiting = [job for job in waiting if job not in ended]
            pause = _PAUSE if ended else min(2 * pause, _LONGEST_PAUSE)
            if waiting:
                _rest(waiting[0], pause, end)

    def _ended(self, jobs: list[Job[R]]) -> dict[Job[R], None]:
        """Return those jobs that have ended, as the keys of a dict."""
        states = jobs[0].task.app.calling.statuses(jobs)
        return dict.fromkeys(
            job for job, status in zip(jobs, states, strict=True) if not status.known
        )

    def then(self, task: Gathering[list[R], S], *args: Any, **kwargs: Any) -> Job[S]:
        """Submit a last job, which runs when all jobs of the group have ended.

        Its first argument is the list of their results; `args` and `kwargs` follow. If
        one of them has failed, the last job fails. A group may have 1000 jobs for that.
        Raises TypeError if the arguments do not fit, or if the results travel in
        another form than those of the task, and as `Task.submit` does.
        """
        return cast("Task[..., S]", task).submit_after(self.jobs, args, kwargs)

    async def aresults(self, wait: float | None = None) -> list[R]:
        """Return all results, as `results` does."""
        end = None if wait is None else time.monotonic() + wait
        return [await job.aresult(_left(end)) for job in self.jobs]

    async def acompleted(self, wait: float | None = None) -> AsyncIterator[Job[R]]:
        """Yield each job soon after it has ended, as `completed` does."""
        end = None if wait is None else time.monotonic() + wait
        waits = {asyncio.create_task(_end(job)): job for job in self.jobs}
        try:
            while waits:
                done, _ = await asyncio.wait(
                    waits, timeout=_left(end), return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    raise ResultNotReady(next(iter(waits.values())).handle, "waiting")
                for each in done:
                    each.result()
                    yield waits.pop(each)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def athen(
        self, task: Gathering[list[R], S], *args: Any, **kwargs: Any
    ) -> Job[S]:
        """Submit a last job, as `then` does."""
        last = cast("Task[..., S]", task)
        return await last.asubmit_after(self.jobs, args, kwargs)

    def cancel(self) -> int:
        """Drop the jobs that have not ended; return how many they were."""
        return sum(job.cancel() for job in self.jobs)


def with_results(calls: Iterable[Call[R]]) -> Iterator[Call[R]]:
    """Yield calls whose results are kept."""
    keeping: dict[int, Task[..., Any]] = {}
    for call in calls:
        task = keeping.get(id(call.task))
        if task is None:
            task = call.task
            if task.options.get("keep") is None:
                task = task.with_options(keep=KEEP)
            keeping[id(call.task)] = task
        yield Call(task, call.workload)


async def _end(job: Job[Any]) -> None:
    """Wait for the end of a job, whatever it is."""
    with suppress(JobFailed, UnknownJob):
        await job.aresult()


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())


def _rest(job: Job[Any], pause: float, end: float | None) -> None:
    """Wait, but not after the end. Raises ResultNotReady at the end."""
    left = _left(end)
    if left == 0.0:
        raise ResultNotReady(job.handle, "waiting")
    time.sleep(pause if left is None else min(pause, left))
