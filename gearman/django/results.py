"""The results of tasks, as the servers have them."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string

from ..errors import JobFailed, ProtocolError, ResultNotReady, UnknownJob
from ..job import exception_details
from ..tasks import App
from . import messages
from .library import (
    Task,
    TaskError,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
)
from .messages import Failure, Record

_HANDLE: Final = re.compile(r"[!-~]{1,64}")
# Names the workers of failed attempts.
UNKNOWN: Final = "unknown"

# Seconds that servers may take to answer.
_ANSWER: Final = 10.0

# A job may end while the servers are asked.
_LOOKS: Final = 5


def get(app: App, alias: str, handle: str) -> Any:
    """Return the result of the task whose job has this handle.

    Raises TaskResultDoesNotExist; ServerUnavailable, and ResultNotReady if no server
    answers.
    """
    if not isinstance(handle, str) or not _HANDLE.fullmatch(handle):
        raise TaskResultDoesNotExist(handle)
    try:
        for _ in range(_LOOKS):
            found = _look(app, alias, handle)
            if found is not None:
                return found
    except (UnknownJob, ValueError) as error:
        raise TaskResultDoesNotExist(f"{handle}: {error}") from error
    raise TaskResultDoesNotExist(handle)


def _look(app: App, alias: str, handle: str) -> Any:
    """Return the result, or None if the job has ended meanwhile.

    Raises ValueError if the job is that of another program.
    """
    try:
        found = app.client.get_result(handle, poll_timeout=_ANSWER)
        record = messages.load(bytes(found))
    except JobFailed as error:
        return _failed(app, alias, handle, error)
    except ResultNotReady as error:
        if not error.state:
            raise
        return _unfinished(app, alias, handle)
    return restored(alias, handle, record, TaskResultStatus.SUCCESSFUL)


def _failed(app: App, alias: str, handle: str, error: JobFailed) -> Any:
    details = exception_details(error.exception)
    if details is None:
        failure = Failure("gearman.errors.JobFailed", f"{error}\n", None)
    else:
        failure = Failure.of(details.type, details.traceback)
    record = failure.record or _call(app, handle)
    if record is None:
        # A job that is not in the list of dead jobs takes its workload with it.
        raise TaskResultDoesNotExist(f"{handle}: {error}") from error
    result = restored(alias, handle, record, TaskResultStatus.FAILED)
    result.errors.append(
        TaskError(exception_class_path=failure.exception, traceback=failure.traceback)
    )
    return result


def _call(app: App, handle: str) -> Record | None:
    """Return the call that a job was submitted with, or None if no server has it."""
    for _, record in _known(app, handle):
        return record
    return None


def _known(app: App, handle: str) -> Iterator[tuple[dict[str, Any], Record]]:
    """Yield what servers say of a job that has not ended, or is dead, and its call."""
    for address in app.addresses:
        with app.admin(address) as admin:
            try:
                job: Any = admin.get_job(handle)
                shown = admin.get_workload(handle)["workload"]
            except ProtocolError:
                continue
        if isinstance(shown, str):
            yield job, messages.load_beginning(shown)


def _unfinished(app: App, alias: str, handle: str) -> Any:
    """Return the result of a task that waits or runs, or None if it has just ended."""
    for job, record in _known(app, handle):
        worker = job.get("worker")
        status = TaskResultStatus.RUNNING if worker else TaskResultStatus.READY
        result = restored(alias, handle, record, status)
        if worker:
            started = _time(time.time() - job["ran"])
            object.__setattr__(result, "started_at", started)
            object.__setattr__(result, "last_attempted_at", started)
            result.worker_ids.extend(
                [*[UNKNOWN] * int(job["attempts"]), str(worker["id"])]
            )
        return result
    return None


def restored(alias: str, handle: str, record: Record, status: Any) -> Any:
    """Return the result of a task that a record tells of.

    Raises ImportError or ValueError if there is no such task.
    """
    task = import_string(record.task)
    if not isinstance(task, Task):
        raise ValueError(f"{record.task} is no task")
    run_after = record.run_after
    task = task.using(
        priority=record.priority,
        queue_name=record.queue_name,
        run_after=None if run_after is None else datetime.fromisoformat(run_after),
        backend=alias,
    )
    started = _read(record.started_at)
    result = TaskResult(
        task=task,
        id=handle,
        status=status,
        enqueued_at=_read(record.enqueued_at),
        started_at=started,
        last_attempted_at=started,
        finished_at=_read(record.finished_at),
        args=record.args,
        kwargs=record.kwargs,
        backend=alias,
        errors=[],
        worker_ids=list(record.worker_ids),
    )
    object.__setattr__(result, "_return_value", record.return_value)
    return result


def _read(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _time(seconds: float) -> datetime:
    """Return a time as Django's now() would: aware if the project uses time zones."""
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return when if settings.USE_TZ else timezone.make_naive(when)
