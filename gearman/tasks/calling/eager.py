"""Tasks that run where they are called or submitted, without a server: for tests.

Arguments and results are made into bytes and back, as they travel. So what cannot
travel is found, and a task gets copies.
"""

import asyncio
import itertools
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from typing import Any, Generic, TypeVar

from ...client_core.results import failure
from ...errors import JobFailed, JobRetry, UnknownJob
from ..current import CurrentJob
from ..jobs import Status
from ..running import arun, run
from ..task import Call, Job, Task

R = TypeVar("R")

# Jobs whose results are kept.
_KEPT = 10_000


class _Updates:
    """Nobody gets what a task sends."""

    def __init__(self, failed: int) -> None:
        self._failed = failed

    def status(self, numerator: int, denominator: int) -> None:
        pass

    def data(self, part: bytes) -> None:
        pass

    def warning(self, text: bytes) -> None:
        pass

    def cancelled(self) -> bool:
        return False

    def failed_attempts(self) -> int:
        return self._failed


class Attempts(Generic[R]):
    """Yields a current job for each attempt, until one has `ended` or all `failed`."""

    def __init__(
        self, job: Job[R], keep: Callable[[str, bytes | JobFailed], None]
    ) -> None:
        self.job = job
        self._keep = keep
        self._failures = 0
        self._open = True

    def __iter__(self) -> Iterator[CurrentJob]:
        job = self.job
        while self._open:
            updates = _Updates(self._failures)
            yield CurrentJob(job.task, job.handle, job.unique, updates)

    def ended(self, result: bytes) -> None:
        """Keep the result; there is no further attempt."""
        self._open = False
        self._keep(self.job.handle, result)

    def failed(self, error: Exception) -> None:
        """Keep the failure if there is no further attempt."""
        if not isinstance(error, JobRetry) or error.counts:
            self._failures += 1
        if self._failures > _retries(self.job.task):
            self._open = False
            self._keep(self.job.handle, _failure(self.job.handle, error))


class Eager:
    """Does what Calling does, in place. Times are not waited for, nor limited."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._ended: dict[str, bytes | JobFailed] = {}

    def call(self, task: Task[..., Any], workload: bytes) -> Any:
        return self.submit(task, workload).result()

    def map(self, calls: Iterable[Call[R]], concurrency: int) -> Iterator[R]:
        for call in calls:
            yield self.submit(call.task, call.workload).result()

    def submit(self, task: Task[..., R], workload: bytes) -> Job[R]:
        runner = _asyncio_run if task.is_async else run
        attempts = self.attempts(task)
        for current in attempts:
            try:
                attempts.ended(runner(current, workload))
            except Exception as error:
                attempts.failed(error)
        return attempts.job

    def attempts(self, task: Task[..., R]) -> "Attempts[R]":
        """Return the attempts of a new job, whose end is kept."""
        return Attempts(Job(task, f"eager:{next(self._numbers)}"), self._keep)

    def submit_many(
        self, calls: Sequence[Call[R]], *, bound: bool = False
    ) -> list[Job[R]]:
        return [self.submit(call.task, call.workload) for call in calls]

    def _keep(self, handle: str, end: bytes | JobFailed) -> None:
        self._ended[handle] = end
        if len(self._ended) > _KEPT:
            del self._ended[next(iter(self._ended))]

    def result(self, job: Job[R], wait: float | None) -> R:
        result: R = job.task.serializer.load_result(self.fetch(job.handle, wait))
        return result

    def fetch(self, handle: str, wait: float | None) -> bytes:
        end = self._ended.get(handle)
        if end is None:
            raise UnknownJob(handle)
        if isinstance(end, JobFailed):
            raise end
        return end

    def status(self, job: Job[Any]) -> Status:
        return Status(False, False, 0, 0)

    def statuses(self, jobs: Sequence[Job[Any]]) -> list[Status]:
        return [self.status(job) for job in jobs]

    def cancel(self, job: Job[Any]) -> bool:
        return False

    def failed_attempts(self, server: str, handle: str) -> None:
        return None


class EagerAsync:
    """Does what AsyncCalling does, in place. `async def` tasks run in this loop."""

    def __init__(self, eager: Eager) -> None:
        self._eager = eager

    async def call(self, task: Task[..., Any], workload: bytes) -> Any:
        return (await self.submit(task, workload)).result()

    async def map(
        self,
        calls: Iterable[Call[R]] | AsyncIterable[Call[R]],
        concurrency: int,
        *,
        alike: bool,
    ) -> AsyncIterator[R]:
        if isinstance(calls, AsyncIterable):
            async for call in calls:
                yield await self.call(call.task, call.workload)
            return
        for call in calls:
            yield await self.call(call.task, call.workload)

    async def submit(self, task: Task[..., R], workload: bytes) -> Job[R]:
        attempts = self._eager.attempts(task)
        for current in attempts:
            try:
                if task.is_async:
                    attempts.ended(await arun(current, workload))
                else:
                    attempts.ended(run(current, workload))
            except Exception as error:
                attempts.failed(error)
        return attempts.job

    async def submit_many(
        self, calls: Sequence[Call[R]], *, bound: bool = False
    ) -> list[Job[R]]:
        return [await self.submit(call.task, call.workload) for call in calls]

    async def result(self, job: Job[R], wait: float | None) -> R:
        return self._eager.result(job, wait)

    async def status(self, job: Job[Any]) -> Status:
        return self._eager.status(job)

    async def cancel(self, job: Job[Any]) -> bool:
        return self._eager.cancel(job)


def _asyncio_run(job: CurrentJob, workload: bytes) -> bytes:
    return asyncio.run(arun(job, workload))


def _retries(task: Task[..., Any]) -> int:
    options = task.steering.options
    return 0 if options is None or options.retries is None else options.retries


def _failure(handle: str, error: Exception) -> JobFailed:
    kind = type(error)
    details = {
        "type": f"{kind.__module__}.{kind.__qualname__}",
        "message": str(error),
        "traceback": "",
    }
    made = failure(handle, details)
    made.__cause__ = error
    return made
