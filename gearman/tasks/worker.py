"""Workers of an app's plain tasks, one job at a time."""

import os
from collections.abc import Collection
from functools import partial
from typing import Any, cast

from ..address import format_address
from ..job import Connection, GearmanJob
from ..worker import GearmanWorker
from ..worker_handler import GearmanWorkerCommandHandler
from .app import App
from .current import CurrentJob
from .observing import OnEnd, OnStart, chosen, teller
from .running import run
from .task import Task


class TaskWorker:
    """Runs jobs of the plain tasks of an app, or of those in `functions`.

    `functions` are names on the server. `client_id` is shown by the servers. After
    `max_jobs`, `work` returns. `on_start(function, handle)` is called before each job,
    and `on_end(function, handle, seconds, error)` after it, before its result is sent;
    the error is None if there is none. Both are called in the thread that works.

    Raises ValueError for a name that is no task of the app, or an `async def` task.
    """

    def __init__(
        self,
        app: App,
        functions: Collection[str] | None = None,
        *,
        client_id: str | None = None,
        max_jobs: int | None = None,
        on_start: OnStart | None = None,
        on_end: OnEnd | None = None,
    ) -> None:
        self.app = app
        self._tasks = chosen(app, functions, is_async=False)
        self._max_jobs = max_jobs
        self._telling = teller(on_start, on_end)
        self._ran = 0
        self._worker = GearmanWorker(
            app.addresses,
            reconnect=True,
            report_exceptions=True,
            extensions=True,
            ssl_context=app.tls,
            connect_timeout=app.connect_timeout,
            discover=app.discover,
        )
        self._worker.set_client_id(client_id or f"tasks-{os.getpid()}")
        for task in self._tasks:
            self._worker.register_task(
                task.name, partial(self._run, task), timeout=task.timeout
            )

    @property
    def functions(self) -> list[str]:
        """The names of the tasks, as the servers know them."""
        return [task.name for task in self._tasks]

    @property
    def connected(self) -> bool:
        """Whether a server has its functions, so that it gets jobs."""
        # Another thread may add to it meanwhile.
        handlers = list(self._worker.handler_to_connection_map.items())
        return any(
            cast(GearmanWorkerCommandHandler, handler).extensions is not None
            for handler, connection in handlers
            if connection.connected
        )

    def work(self) -> int:
        """Run jobs until `stop` is called; return how many were run.

        Lost servers are waited for. A worker whose `work` has returned may work again.
        """
        self._ran = 0
        self._worker.work()
        return self._ran

    def stop(self) -> None:
        """Let `work` return when the job in hand has ended.

        May be called from any thread, a signal handler or a task.
        """
        self._worker.stop()

    def _run(
        self, task: Task[..., Any], worker: GearmanWorker, job: GearmanJob
    ) -> bytes:
        handle = cast(str, job.handle)
        self._ran += 1
        if self._ran == self._max_jobs:
            worker.stop()
        updates = _Updates(self.app, worker, job)
        current = CurrentJob(task, handle, cast("str | None", job.unique), updates)
        with self._telling(current):
            return run(current, job.data)


class _Updates:
    """Sends what a task tells of its job."""

    __slots__ = ("_app", "_job", "_worker")

    def __init__(self, app: App, worker: GearmanWorker, job: GearmanJob) -> None:
        self._app = app
        self._worker = worker
        self._job = job

    def status(self, numerator: int, denominator: int) -> None:
        self._worker.send_job_status(self._job, numerator, denominator)

    def data(self, part: bytes) -> None:
        self._worker.send_job_data(self._job, part)

    def warning(self, text: bytes) -> None:
        self._worker.send_job_warning(self._job, text)

    def cancelled(self) -> bool:
        return self._job.cancelled

    def failed_attempts(self) -> int | None:
        connection = cast(Connection, self._job.connection)
        server = format_address(*connection.get_address())
        return self._app.calling.failed_attempts(server, cast(str, self._job.handle))
