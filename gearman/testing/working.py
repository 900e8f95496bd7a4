"""Workers in threads of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from ..tasks import App, TaskWorker


@contextmanager
def worker(app: App, address: str | None = None) -> Iterator[App]:
    """Run the tasks of an app in a thread until the end of this context; return it.

    With an `address`, the app uses that server meanwhile. At the end, the job that runs
    is finished, and the connections of the app are closed.
    """
    former = app.addresses
    if address is not None:
        app.addresses = [address]
    try:
        with _running(TaskWorker(app)):
            yield app
    finally:
        app.addresses = former


@contextmanager
def _running(worker: TaskWorker) -> Iterator[None]:
    thread = Thread(target=worker.work, name="gearman.testing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()
