"""The job that is run here, for its function."""

import asyncio
import logging
import time
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Protocol

from ..errors import NoCurrentJob
from .task import Submitter, Task

_current: ContextVar["CurrentJob"] = ContextVar("current gearman job")
_logger = logging.getLogger("gearman.tasks")


class Updates(Protocol):
    """What the worker does for the job that it runs."""

    def status(self, numerator: int, denominator: int) -> None:
        """Send how far the job is."""

    def data(self, part: bytes) -> None:
        """Send a part of the result."""

    def warning(self, text: bytes) -> None:
        """Send a warning."""

    def cancelled(self) -> bool:
        """Whether nobody wants the result any more."""

    def failed_attempts(self) -> int | None:
        """Ask how many attempts have failed; None if the server does not tell."""


class _Logger(logging.LoggerAdapter[logging.Logger]):
    """Puts handle and function before a message, and into the record."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        extra = dict(self.extra or {})
        kwargs["extra"] = {**extra, **(kwargs.get("extra") or {})}
        return f"{extra['handle']} {extra['function']}: {msg}", kwargs


class CurrentJob:
    """The job that is run here.

    `started` and `deadline` are in seconds since the epoch; the deadline is None if the
    task has no timeout.
    """

    def __init__(
        self, task: Task[..., Any], handle: str, unique: str | None, updates: Updates
    ) -> None:
        self.task = task
        self.handle = handle
        self.unique = unique
        self.started = time.time()
        self._updates = updates

    @property
    def function(self) -> str:
        """The name of the task on the server."""
        return self.task.name

    @property
    def deadline(self) -> float | None:
        """When the time for this attempt is over."""
        timeout = self.task.timeout
        return None if timeout is None else self.started + timeout

    @cached_property
    def attempt(self) -> int | None:
        """Which attempt this is, from 1; None if the server does not tell.

        At the first look the server is asked, over a connection of its own.
        """
        failed = self._updates.failed_attempts()
        return None if failed is None else failed + 1

    async def aattempt(self) -> int | None:
        """Return `attempt`; the event loop goes on while the server is asked."""
        return await asyncio.to_thread(lambda: self.attempt)

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the result any more; see `GearmanJob.cancelled`."""
        return self._updates.cancelled()

    @cached_property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """The logger `gearman.tasks`, with handle and function in each line."""
        return _Logger(_logger, {"handle": self.handle, "function": self.function})

    def progress(self, numerator: int, denominator: int) -> None:
        """Tell how far the job is: `numerator` of `denominator`."""
        self._updates.status(numerator, denominator)

    def data(self, part: str | bytes) -> None:
        """Send a part of the result to a client that waits."""
        self._updates.data(part.encode() if isinstance(part, str) else part)

    def warning(self, text: str | bytes) -> None:
        """Send a warning to a client that waits."""
        self._updates.warning(text.encode() if isinstance(text, str) else text)


def current(app: Submitter) -> CurrentJob:
    """Return the job of this app that is run here. Raises NoCurrentJob."""
    job = _current.get(None)
    if job is None or job.task.app is not app:
        raise NoCurrentJob
    return job


def in_hand() -> CurrentJob | None:
    """Return the job that is run here, of any app; None if there is none."""
    return _current.get(None)


# Make a job the current one, and end that.
set_current = _current.set
reset_current = _current.reset
