"""What a client knows of a job that it has submitted, and who waits for more."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from ..client_core.results import end_of
from ..constants import JOB_CREATED, JOB_PENDING, JOB_UNKNOWN
from ..job import GearmanJob, GearmanJobRequest
from .link import tell


@dataclass(frozen=True, slots=True)
class Data:
    """A part of the result (WORK_DATA)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning of the worker (WORK_WARNING)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is (WORK_STATUS): numerator of denominator."""

    numerator: int
    denominator: int


Update = Data | Warned | Progress
Future = asyncio.Future[None]


class Request(GearmanJobRequest):
    """A request whose state may be waited for.

    `own` is whether the unique is a random one, so that no other client has the job.
    """

    # Updates go to those who look at them, or are dropped.
    data_updates: ClassVar[deque[Any]] = deque(maxlen=0)
    warning_updates: ClassVar[deque[Any]] = deque(maxlen=0)

    # Who waits until the request is accepted, until it has ended, and for an update.
    accepting: tuple[Future, ...] = ()
    ending: tuple[Future, ...] = ()
    updating: tuple[Future, ...] = ()

    updates: deque[Update] | None = None
    own = False
    # Whether its caller was cancelled.
    abandoned = False
    # Why its state became JOB_UNKNOWN.
    problem: Exception | None = None

    def __init__(self, job: GearmanJob, priority: str | None, background: bool) -> None:
        super().__init__(job, priority, background)

    @property
    def unended(self) -> bool:
        """Whether the job may still end, and this be told."""
        return self.state in (JOB_PENDING, JOB_CREATED)

    async def accepted(self) -> None:
        """Wait until the server has accepted the job, or it is known that it won't.

        Raises JobFailed or ServerUnavailable in the other case.
        """
        if self.state == JOB_PENDING:
            future: Future = asyncio.get_running_loop().create_future()
            self.accepting = (*self.accepting, future)
            try:
                await future
            except asyncio.CancelledError:
                self.accepting = _without(self.accepting, future)
                raise
        if not self.job.handle:
            self.outcome()

    async def end(self) -> None:
        """Wait until the job has ended, or its connection is lost."""
        if self.unended:
            future: Future = asyncio.get_running_loop().create_future()
            self.ending = (*self.ending, future) if self.ending else (future,)
            try:
                await future
            except asyncio.CancelledError:
                self.ending = _without(self.ending, future)
                raise

    async def end_or(self, other: asyncio.Future[Any]) -> None:
        """Wait until the job has ended, or the other future is done."""
        if self.unended:
            future: Future = asyncio.get_running_loop().create_future()
            self.ending = (*self.ending, future)

            def done(_: object) -> None:
                tell(future, None)

            other.add_done_callback(done)
            try:
                await future
            finally:
                other.remove_done_callback(done)
                self.ending = _without(self.ending, future)

    async def update(self) -> Update | None:
        """Return the next update; None if the job has ended and there is none."""
        updates = cast("deque[Update]", self.updates)
        while not updates and self.unended:
            future: Future = asyncio.get_running_loop().create_future()
            self.updating = (*self.updating, future)
            try:
                await future
            except asyncio.CancelledError:
                self.updating = _without(self.updating, future)
                raise
        return updates.popleft() if updates else None

    def outcome(self) -> bytes:
        """Return the result.

        Raises JobFailed, ServerUnavailable if the connection was lost, or
        ResultNotReady.
        """
        if self.state == JOB_UNKNOWN and self.problem is not None:
            raise self.problem
        result: bytes = end_of(self)
        return result

    # Called by the link.

    def told_accepted(self) -> None:
        """Wake those who wait for the acceptance."""
        futures, self.accepting = self.accepting, ()
        _wake(futures)

    def told_update(self, update: Update) -> None:
        """Keep an update if somebody may look at it."""
        if self.updates is not None:
            self.updates.append(update)
            futures, self.updating = self.updating, ()
            _wake(futures)

    def told_end(self) -> None:
        """Wake all who wait: nothing more will come for this request."""
        futures, self.ending = self.ending, ()
        _wake(futures)
        if self.accepting or self.updating:
            futures = (*self.accepting, *self.updating)
            self.accepting = self.updating = ()
            _wake(futures)


def _wake(futures: tuple[Future, ...]) -> None:
    for future in futures:
        tell(future, None)


def _without(futures: tuple[Future, ...], gone: Future) -> tuple[Future, ...]:
    return tuple(future for future in futures if future is not gone)
