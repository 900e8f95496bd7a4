"""A job as the client mode of `gearman` sees it."""

from collections import deque
from typing import Any, Literal, NamedTuple, TypeAlias

from ...constants import JOB_CREATED, JOB_FAILED
from ...job import GearmanJobRequest, JobStatus

Kind: TypeAlias = Literal["data", "warning", "status"]


class Event(NamedTuple):
    """Something that was told about a job before its end."""

    kind: Kind
    value: Any


class _Feed(deque[Any]):
    """Turns the updates of one kind into events."""

    def __init__(self, events: deque[Event], kind: Kind) -> None:
        super().__init__()
        self._events = events
        self._kind = kind

    def append(self, update: Any) -> None:
        self._events.append(Event(self._kind, update))


class Call(GearmanJobRequest):
    """A request that keeps what happened to it in the order in which it did.

    `events` holds what has not been shown yet.
    """

    # Whether no other job of this client was under way when it was submitted.
    alone = False
    # Bytes of input up to the end of its workload.
    position = 0
    handle_shown = False

    def initialize_request(self) -> None:
        self.events: deque[Event] = deque()
        self._status: JobStatus = {}  # type: ignore[typeddict-item]
        super().initialize_request()
        self.data_updates = _Feed(self.events, "data")
        self.warning_updates = _Feed(self.events, "warning")

    @property
    def status(self) -> JobStatus:
        """The last status; each new one is an event."""
        return self._status

    @status.setter
    def status(self, status: JobStatus) -> None:
        self._status = status
        if status:
            self.events.append(Event("status", status))

    @property
    def refused(self) -> bool:
        """Whether the server did not accept the job."""
        return self.state == JOB_FAILED and self.job.handle is None

    @property
    def ended(self) -> bool:
        """Whether nothing more is expected, be it good or bad."""
        return self.complete or self.state == JOB_FAILED

    @property
    def accepted_in_background(self) -> bool:
        return bool(self.background) and self.state == JOB_CREATED
