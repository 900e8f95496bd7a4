"""Tasks: functions that are called here and run by workers.

    app = App("localhost:4730")

    @app.task(retries=5)
    def resize(path: str, width: int = 800) -> str: ...

`resize("a.jpg")` calls the function here, `resize.call("a.jpg")` has a worker run it
and waits for the result, `resize.submit("a.jpg")` does not wait. docs/tasks.md has
more.
"""

from typing import TYPE_CHECKING, Any

from ..errors import JobFailed, NoCurrentJob, NotAccepted, ResultNotReady
from ..errors import JobRetry as Retry
from .app import App, AsyncTask, PlainTask
from .current import CurrentJob
from .groups import Group
from .jobs import Status
from .middleware import Middleware
from .options import TaskOptions
from .schedules import Schedule
from .task import Call, Job, Task
from .worker import TaskWorker

if TYPE_CHECKING:
    from .async_worker import AsyncTaskWorker

__all__ = [
    "App",
    "AsyncTask",
    "AsyncTaskWorker",
    "Call",
    "CurrentJob",
    "Group",
    "Job",
    "JobFailed",
    "Middleware",
    "NoCurrentJob",
    "NotAccepted",
    "PlainTask",
    "ResultNotReady",
    "Retry",
    "Schedule",
    "Status",
    "Task",
    "TaskOptions",
    "TaskWorker",
]


def __getattr__(name: str) -> Any:
    """Import what needs asyncio when it is used: many programs do not."""
    if name == "AsyncTaskWorker":
        from .async_worker import AsyncTaskWorker

        return AsyncTaskWorker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
