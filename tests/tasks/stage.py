"""Workers of an app in threads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gearman.tasks import App, TaskWorker
from tests.client.stage import meanwhile
from tests.servers import DEADLINE


@contextmanager
def working(app: App, **options: Any) -> Iterator[TaskWorker]:
    """Run a worker of an app in a thread; it must end when it is stopped."""
    worker = TaskWorker(app, **options)
    work = meanwhile(worker.work)
    try:
        yield worker
    finally:
        worker.stop()
        work.result(DEADLINE)
