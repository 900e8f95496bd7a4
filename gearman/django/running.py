"""Running a task in a worker."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from traceback import format_exception
from typing import Any, Protocol

from django.db import close_old_connections
from django.utils import timezone

from ..errors import JobRetry
from ..tasks import App
from . import messages, results
from .library import TaskContext, TaskError, TaskResultStatus, normalize_json, signals
from .messages import Record


class Runner(Protocol):
    """What is needed of a backend."""

    alias: str

    @property
    def retries(self) -> int:
        """How many attempts may follow a failed one."""


class TaskExited(Exception):
    """A task has ended by SystemExit or the like; its `__cause__` is that."""


def worker_id() -> str:
    """Name this process among the workers."""
    return f"{socket.gethostname()}-{os.getpid()}"


def run(backend: Runner, app: App, queue_name: str, data: bytes) -> bytes:
    """Run the task of a job of an app; return the result of the job.

    Raises what the task raises, with a note, so that the result can be told later.
    """
    record = replace(messages.load(data), queue_name=queue_name)
    job = app.current
    failed = (job.attempt or 1) - 1 if backend.retries else 0
    record = replace(
        record,
        started_at=timezone.now().isoformat(),
        worker_ids=[*[results.UNKNOWN] * failed, worker_id()],
    )
    status = TaskResultStatus.RUNNING
    result = results.restored(backend.alias, job.handle, record, status)
    sender = type(backend)
    with _connections():
        signals.task_started.send(sender=sender, task_result=result)
        try:
            value = _call(result)
        except (KeyboardInterrupt, JobRetry):
            raise
        except BaseException as error:
            record = _failed(result, record, error)
            if failed >= backend.retries:
                signals.task_finished.send(sender, task_result=result)
            if not isinstance(error, Exception):
                # It would end the worker.
                raise _exited(error, record) from error
            error.add_note(messages.note(record))
            raise
        record = replace(record, return_value=value, finished_at=_finish(result))
        object.__setattr__(result, "_return_value", value)
        object.__setattr__(result, "status", TaskResultStatus.SUCCESSFUL)
        signals.task_finished.send(sender, task_result=result)
        return messages.dump(record)


@contextmanager
def _connections() -> Iterator[None]:
    """Close connections to databases that are too old, as before and after requests."""
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()


def _call(result: Any) -> Any:
    args = list(result.args)
    if result.task.takes_context:
        args.insert(0, TaskContext(task_result=result))
    return normalize_json(result.task.call(*args, **result.kwargs))


def _finish(result: Any) -> str:
    now: datetime = timezone.now()
    object.__setattr__(result, "finished_at", now)
    return now.isoformat()


def _failed(result: Any, record: Record, error: BaseException) -> Record:
    path = f"{type(error).__module__}.{type(error).__qualname__}"
    result.errors.append(
        TaskError(exception_class_path=path, traceback="".join(format_exception(error)))
    )
    object.__setattr__(result, "status", TaskResultStatus.FAILED)
    return replace(record, exception=path, finished_at=_finish(result))


def _exited(error: BaseException, record: Record) -> TaskExited:
    made = TaskExited(f"{type(error).__name__}: {error}")
    made.add_note(messages.note(record))
    return made
