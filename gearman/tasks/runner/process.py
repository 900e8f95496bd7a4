"""A process of the runner: it imports the app, and runs jobs in threads.

Plain tasks run in threads with a worker each, and `async def` tasks in one thread with
an event loop. The main thread listens to the runner and to signals.
"""

import atexit
import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ...blocking.polling import Wakeup, ready
from ...errors import (
    ConfigurationError,
    GearmanError,
    InvalidAdminClientState,
    JobRetry,
    ServerUnavailable,
)
from ..app import App
from ..current import CurrentJob
from ..middleware import Middleware
from ..worker import TaskWorker
from .board import Board
from .link import Link
from .loading import Unusable, load
from .logs import configure
from .model.actions import RunningJob
from .model.pools import Pool
from .options import Options

if TYPE_CHECKING:
    from ..async_worker import AsyncTaskWorker

log = logging.getLogger("gearman.tasks.runner.process")

FAILED = 1

# Seconds that the process that it replaces works on, while no server can be reached,
# and between two looks whether one is.
_PATIENCE = 5.0
_GLANCE = 0.005


class Worker(NamedTuple):
    """What runs jobs in a thread until it is stopped, from any thread."""

    run: Callable[[], object]
    stop: Callable[[], object]
    is_connected: Callable[[], bool]


class _Progress(Middleware):
    """Writes the progress of jobs on the board, as well as telling it to the server."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def running(self, job: CurrentJob) -> AbstractContextManager[object]:
        tell = job.progress

        def progress(numerator: int, denominator: int) -> None:
            part = numerator / denominator if denominator > 0 else 0.0
            part = min(1.0, max(0.0, part))
            self._board.progress(job.function, job.handle, part)
            tell(numerator, denominator)

        job.progress = progress  # type: ignore[method-assign]
        return nullcontext()


class Process:
    """`number` and `pool` are what the runner has chosen."""

    def __init__(
        self, options: Options, number: int, pool: Pool, board: Board, link: Link
    ) -> None:
        self._options = options
        self._number = number
        self._pool = pool
        self._board = board
        self._link = link
        self._workers: Sequence[Worker] = ()
        self._wakeup = Wakeup()
        self._lock = threading.Lock()
        self._started = 0
        self._leaving = self._signalled = False
        self._running = 0
        self._problem = ""

    def run(self) -> int:
        """Run jobs until the runner or a signal ends it; return the exit status."""
        # Commands of jobs would inherit that a signal is ignored.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGHUP, lambda *_: None)
        app = load_app(self._options, self._link)
        if app is None:
            return FAILED
        if self._options.watch:
            app.middleware.append(_Progress(self._board))
        functions = self._pool.choose(app.tasks)
        if not functions:
            self._link.say(event="failed", why=f"the app has no {self._pool.only} now")
            return FAILED
        self._workers = self._make_workers(app, functions)
        gc.freeze()
        # Until now it ends the process.
        signal.signal(signal.SIGTERM, self._on_signal)
        with self._wakeup.by_signals():
            threads = [self._thread(worker) for worker in self._workers]
            self._wait()
        for thread in threads:
            thread.join()
        app.close()
        # As at the end of each program; the code of the app may count on it.
        atexit._run_exitfuncs()
        if self._problem:
            self._link.say(event="failed", why=self._problem)
        return FAILED if self._problem else 0

    # The workers.

    def _make_workers(self, app: App, functions: Collection[str]) -> list[Worker]:
        plain = [name for name in functions if not app.tasks[name].is_async]
        others = [name for name in functions if app.tasks[name].is_async]
        name = f"{socket.gethostname()}-{os.getpid()}"
        told: Any = {"on_start": self._on_start(app), "on_end": self._on_end}
        workers: list[Worker] = []
        for number in range(self._options.threads if plain else 0):
            client_id = f"{name}-{number + 1}"
            worker = TaskWorker(app, plain, client_id=client_id, **told)
            workers.append(Worker(worker.work, worker.stop, _connection(worker)))
        if others:
            # It imports asyncio, which plain tasks do not need.
            from ..async_worker import AsyncTaskWorker

            most, client_id = self._options.async_concurrency, f"{name}-async"
            many = AsyncTaskWorker(
                app, others, concurrency=most, client_id=client_id, **told
            )
            run = partial(_in_a_loop, many)
            workers.append(Worker(run, many.stop, _connection(many)))
        return workers

    def _thread(self, worker: Worker) -> threading.Thread:
        self._running += 1
        # A thread that hangs must not keep the process from ending.
        thread = threading.Thread(target=self._work, args=(worker,), daemon=True)
        thread.start()
        return thread

    def _work(self, worker: Worker) -> None:
        try:
            worker.run()
        except BaseException as error:
            log.error("a worker has ended", exc_info=error)
            self._problem = f"a worker has ended: {type(error).__name__}: {error}"
        finally:
            with self._lock:
                self._running -= 1
            self._wakeup.wake()

    def _on_start(self, app: App) -> Callable[[str, str], None]:
        board, most = self._board, self._options.max_jobs
        timeouts = {name: task.timeout or 0.0 for name, task in app.tasks.items()}

        def started(function: str, handle: str) -> None:
            now = time.monotonic()
            board.started(RunningJob(function, handle, now, timeouts[function]))
            if most:
                self._count(most)

        return started

    def _count(self, most: int) -> None:
        with self._lock:
            self._started += 1
            last = self._started == most
        if last:
            self._leave(f"it has run {most} jobs, as --max-jobs says")

    def _on_end(
        self, function: str, handle: str, seconds: float, error: BaseException | None
    ) -> None:
        failed = error is not None and not isinstance(error, JobRetry)
        self._board.ended(function, handle, failed=failed)
        if log.isEnabledFor(logging.DEBUG):
            how = "failed" if failed else "done" if error is None else "to be repeated"
            extra = {"handle": handle, "function": function}
            text = "%s %s: %s in %.3f s"
            log.debug(text, handle, function, how, seconds, extra=extra)

    # The end.

    def _on_signal(self, number: int, frame: object) -> None:
        # A lock may be held by the code that the signal has interrupted.
        self._signalled = True
        self._wakeup.wake()

    def _wait(self) -> None:
        """Wait until no worker runs; stop them when somebody says so."""
        ready_at = time.monotonic() + _PATIENCE
        is_ready = False
        while self._running:
            if not is_ready:
                connected = all(worker.is_connected() for worker in self._workers)
                is_ready = connected or time.monotonic() >= ready_at
                if is_ready:
                    self._link.say(event="ready")
            sources: list[Wakeup | Link] = [self._wakeup]
            if not self._link.closed:
                sources.append(self._link)
            ready(sources, [], None if is_ready else _GLANCE)
            self._wakeup.clear()
            said = any(message["order"] == "drain" for message in self._link.hear())
            if said or self._link.closed or self._problem:
                self._stop()
            elif self._signalled:
                self._leave("it has got a signal")

    def _leave(self, why: str) -> None:
        """Take no more jobs, and tell the runner."""
        with self._lock:
            first, self._leaving = not self._leaving, True
        if first:
            self._link.say(event="leaving", why=why)
            self._stop()

    def _stop(self) -> None:
        self._leaving = True
        for worker in self._workers:
            worker.stop()
        log.debug("no more jobs are taken")


def _connection(worker: "TaskWorker | AsyncTaskWorker") -> Callable[[], bool]:
    return lambda: worker.connected


def _in_a_loop(worker: "AsyncTaskWorker") -> object:
    import asyncio

    return asyncio.run(worker.work())


def load_app(options: Options, link: Link) -> App | None:
    """Return the app; if there is none, tell the runner why."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"):
        os.environ.pop(name, None)
    try:
        return load(options)
    except ConfigurationError as error:
        if isinstance(error, Unusable):
            log.error("%s", error, exc_info=error.__cause__)
        link.say(event="failed", why=str(error))
        return None


def run(
    options: Options,
    number: int,
    pool: Pool,
    board: Board,
    link: Link,
) -> int:
    """Be a process of the runner; return its exit status."""
    configure(options.log_format, options.log_level, number)
    return Process(options, number, pool, board, link).run()


def inspect(options: Options, link: Link) -> int:
    """Import the app, and tell the runner which functions it has, and its servers."""
    configure(options.log_format, options.log_level)
    app = load_app(options, link)
    if app is None:
        return FAILED
    try:
        servers = app.addresses
    except ConfigurationError as error:
        link.say(event="failed", why=str(error))
        return FAILED
    schedules = any(task.schedule for task in app.tasks.values())
    link.say(
        event="found",
        functions=list(app.tasks),
        servers=servers,
        # One with a name may have had schedules until now.
        schedules=schedules or app.name is not None,
    )
    return 0


def register(options: Options, link: Link) -> int:
    """Register the schedules of the app, as soon as the server can be reached."""
    configure(options.log_format, options.log_level)
    app = load_app(options, link)
    if app is None:
        return FAILED
    # It ends with the runner.
    while not link.closed:
        try:
            names = app.register_schedules(app.name or options.app)
        except (InvalidAdminClientState, ServerUnavailable):
            ready([link], [], _PATIENCE)
            list(link.hear())
        except (GearmanError, TypeError, ValueError) as error:
            log.error("the schedules are not registered: %s", error)
            return FAILED
        else:
            log.info("schedules that are registered: %s", ", ".join(names) or "none")
            break
    return 0
