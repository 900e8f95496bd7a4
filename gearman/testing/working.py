"""Workers in threads of a test."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Thread

from ..tasks import App, AsyncTaskWorker, TaskWorker


@contextmanager
def worker(app: App, address: str | None = None) -> Iterator[App]:
    """Run the tasks of an app in threads until the end of this context; return it.

    There is a thread for plain tasks, which runs one at a time, and one for `async def`
    tasks. With an `address`, the app uses that server meanwhile. At the end, jobs that
    run are finished, and the connections of the app are closed.
    """
    former = app.addresses
    if address is not None:
        app.addresses = [address]
    try:
        with ExitStack() as stack:
            for run, worker in _workers(app):
                stack.enter_context(_running(run, worker))
            yield app
    finally:
        app.addresses = former


_Run = Callable[[], object]


def _workers(app: App) -> Iterator[tuple[_Run, TaskWorker | AsyncTaskWorker]]:
    """Yield a worker for each kind of tasks, with what runs it."""
    kinds = {task.is_async for task in app.tasks.values()}
    if False in kinds:
        worker = TaskWorker(app)
        yield worker.work, worker
    if True in kinds:
        async_worker = AsyncTaskWorker(app)
        yield (lambda: asyncio.run(async_worker.work())), async_worker


@contextmanager
def _running(run: _Run, worker: TaskWorker | AsyncTaskWorker) -> Iterator[None]:
    thread = Thread(target=run, name="gearman.testing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()
