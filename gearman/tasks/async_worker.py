"""Workers of an app's `async def` tasks, many jobs at a time."""

import os
from collections.abc import Collection
from functools import partial
from typing import Any

from ..aio import Worker
from ..aio.running_job import RunningJob
from .app import App
from .current import CurrentJob
from .observing import OnEnd, OnStart, chosen, teller
from .running import arun
from .task import Task


class AsyncTaskWorker:
    """Runs jobs of the `async def` tasks of an app, or of those in `functions`.

    `functions` are names on the server. Up to `concurrency` jobs run at once. A job is
    cancelled when nobody wants its result any more, or its time is over. `client_id` is
    shown by the servers. After `max_jobs` have begun, `work` takes no more, but those
    that a server has already sent. `on_start(function, handle)` is called before each
    job, and `on_end(function, handle, seconds, error)` after it, before its result is
    sent; the error is None if there is none. Both are called in the event loop.

    Raises ValueError for a name that is no task of the app, or a plain task.
    """

    def __init__(
        self,
        app: App,
        functions: Collection[str] | None = None,
        *,
        concurrency: int = 100,
        client_id: str | None = None,
        max_jobs: int | None = None,
        on_start: OnStart | None = None,
        on_end: OnEnd | None = None,
    ) -> None:
        self.app = app
        self._tasks = chosen(app, functions, is_async=True)
        self._max_jobs = max_jobs
        self._telling = teller(on_start, on_end)
        self._ran = 0
        self._worker = Worker(
            *app.addresses,
            concurrency=concurrency,
            client_id=client_id or f"tasks-{os.getpid()}",
            tls=app.tls,
            connect_timeout=app.connect_timeout,
            discover=app.discover,
        )
        for task in self._tasks:
            run = partial(self._run, task)
            self._worker.register(task.name, run, task.timeout, cancel=True)

    @property
    def functions(self) -> list[str]:
        """The names of the tasks, as the servers know them."""
        return [task.name for task in self._tasks]

    @property
    def connected(self) -> bool:
        """Whether a server has its functions, so that it gets jobs."""
        links = [server.link for server in self._worker.servers]
        return any(link is not None and link.announced for link in links)

    async def work(self) -> int:
        """Run jobs until `stop` is called; return how many were run.

        Lost servers are waited for. If it is cancelled, so are the jobs, and their
        servers queue them again.
        """
        self._ran = 0
        await self._worker.work()
        return self._ran

    def stop(self) -> None:
        """Let `work` return when the jobs in hand have ended.

        May be called from any thread, a signal handler or a task.
        """
        self._worker.stop()

    async def _run(self, task: Task[..., Any], job: RunningJob) -> bytes:
        self._ran += 1
        if self._ran == self._max_jobs:
            self.stop()
        updates = _Updates(self.app, job)
        current = CurrentJob(task, job.handle, job.unique, updates)
        with self._telling(current):
            return await arun(current, job.workload)


class _Updates:
    """Sends what a task tells of its job."""

    __slots__ = ("_app", "_job")

    def __init__(self, app: App, job: RunningJob) -> None:
        self._app = app
        self._job = job

    def status(self, numerator: int, denominator: int) -> None:
        self._job.send_status(numerator, denominator)

    def data(self, part: bytes) -> None:
        self._job.send_data(part)

    def warning(self, text: bytes) -> None:
        self._job.send_warning(text)

    def cancelled(self) -> bool:
        return self._job.cancelled

    def failed_attempts(self) -> int | None:
        server, handle = self._job.link.name, self._job.handle
        return self._app.calling.failed_attempts(server, handle)
