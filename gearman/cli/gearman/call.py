"""A job as the client mode of `gearman` sees it."""

from collections import deque
from typing import Any, Literal, NamedTuple, TypeAlias

from ...constants import JOB_CREATED, JOB_FAILED
from ...job import GearmanJobRequest, JobStatus

Kind: TypeAlias = Literal["data", "warning", "status"]


class Event(NamedTuple):
    """An update of a job before its end: data, a warning or a status."""

    kind: Kind
    value: Any


class _Feed(deque[Any]):
    """A list of updates of one kind, which adds them to the events."""

    def __init__(self, events: deque[Event], kind: Kind) -> None:
        super().__init__()
        self._events = events
        self._kind = kind

    def append(self, update: Any) -> None:
        self._events.append(Event(self._kind, update))


class Call(GearmanJobRequest):
    """A job request that keeps its updates of all kinds in one order.

    `events` are the updates that were not shown yet.
    """

    # Whether the client had no other pending job when it was submitted.
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
        """Whether the job has completed or failed."""
        return self.complete or self.state == JOB_FAILED

    @property
    def accepted_in_background(self) -> bool:
        return bool(self.background) and self.state == JOB_CREATED
