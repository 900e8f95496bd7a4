"""A job, and what a client knows of a job that it asked for."""

import json
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NotRequired, Protocol, TypedDict

from .constants import (
    JOB_COMPLETE,
    JOB_CREATED,
    JOB_FAILED,
    JOB_UNKNOWN,
    PRIORITY_NONE,
)
from .constants import JOB_PENDING as JOB_PENDING
from .payload import LIMIT, excerpt


class Connection(Protocol):
    """The connection of a job, as far as a job's function or a request needs it."""

    connected: bool
    gearman_host: str
    gearman_port: int

    def get_address(self) -> tuple[str, int]:
        """Return host and port of the server."""


class JobStatus(TypedDict):
    """What a server said last about how far a job is; empty before that.

    The times are in seconds since the epoch. `last_time_received` is that of the
    answer before, once a client has asked.
    """

    handle: str | None
    known: bool
    running: bool
    numerator: int
    denominator: int
    time_received: float
    last_time_received: NotRequired[float | None]


class UniqueStatus(JobStatus):
    """How far the job with a unique is, and how many clients wait for its result."""

    unique: str
    clients: int


class GearmanJob:
    """A job as client and worker see it.

    `task` is the function's name: on a worker exactly what was registered, on a
    client what was submitted. `connection` and `handle` are None on a client until
    the job has been sent and accepted. Of somebody else's job that a client asked
    for, `connection` and `handle` are all that is known; the others are None.
    """

    reducer: str | None = None

    def __init__(
        self,
        connection: Connection | None,
        handle: str | None,
        task: str | bytes | None,
        unique: str | bytes | None,
        data: Any,
    ) -> None:
        self.connection = connection
        self.handle = handle

        self.task = task
        self.unique = unique
        self.data = data

    def to_dict(self) -> dict[str, Any]:
        """Return what describes the job, without its connection."""
        return {
            "task": self.task,
            "job_handle": self.handle,
            "unique": self.unique,
            "data": self.data,
        }

    def __repr__(self) -> str:
        place = (self.connection, self.handle)
        return (
            f"<GearmanJob connection/handle={place!r}, task={self.task!s:.{LIMIT}}, "
            f"unique={self.unique!s:.{LIMIT}}, data={excerpt(self.data)}>"
        )


@dataclass(frozen=True, slots=True)
class JobException:
    """An exception that a worker reported: its class, text and traceback."""

    type: str
    message: str
    traceback: str


class GearmanJobRequest:
    """What a client knows of a job: its state, its result, its updates.

    `max_attempts` is how often the job may be submitted; `when_to_run` (seconds
    since the epoch) and `reducer` may be set before it is.
    """

    when_to_run: float | None = None
    reducer: str | bytes | None = None

    _used = False

    def __init__(
        self,
        gearman_job: GearmanJob,
        initial_priority: str | None = PRIORITY_NONE,
        background: bool = False,
        max_attempts: int = 1,
    ) -> None:
        self.gearman_job = gearman_job

        self.priority = initial_priority
        self.background = background

        self.connection_attempts = 0
        self.max_connection_attempts = max_attempts

        self.initialize_request()

    def initialize_request(self) -> None:
        """Forget everything that was received."""
        self.result: Any = None
        self.exception: Any = None
        # Empty until there is one.
        self.status: JobStatus = {}  # type: ignore[typeddict-item]
        self.state = JOB_UNKNOWN
        self.timed_out = False
        # Asking for __dict__ would make one; most requests do without.
        if self._used:
            for name in ("warning_updates", "data_updates"):
                self.__dict__.pop(name, None)
        self._used = True

    def reset(self) -> None:
        """Make the request ready to be submitted again."""
        self.initialize_request()
        self.connection: Connection | None = None
        self.handle: str | None = None

    # Made when they are first asked for: most requests never get an update, and two
    # empty queues take more memory than all the rest.
    @cached_property
    def warning_updates(self) -> deque[Any]:
        """The payloads of WORK_WARNING, oldest first."""
        return deque()

    @cached_property
    def data_updates(self) -> deque[Any]:
        """The payloads of WORK_DATA, oldest first."""
        return deque()

    @property
    def status_updates(self) -> deque[tuple[int, int]]:
        """Deprecated: the last (numerator, denominator), if there is one."""
        status = self.status
        if not status:
            return deque()
        return deque([(status.get("numerator", 0), status.get("denominator", 0))])

    @property
    def server_status(self) -> JobStatus:
        """Deprecated: `status`."""
        return self.status

    @property
    def job(self) -> GearmanJob:
        """The job that is asked for."""
        return self.gearman_job

    @property
    def complete(self) -> bool:
        """Whether nothing more is expected of the job.

        In the background that is when it was accepted, else when it has ended.
        """
        if self.background:
            return self.state == JOB_CREATED
        return self.state in (JOB_FAILED, JOB_COMPLETE)

    @property
    def exception_details(self) -> JobException | None:
        """What the worker reported with `report_exceptions`, else None."""
        return _details(self.exception)

    def __repr__(self) -> str:
        return (
            f"<GearmanJobRequest task={excerpt(self.job.task)}, "
            f"unique={excerpt(self.job.unique)}, priority={self.priority!r}, "
            f"background={self.background!r}, "
            f"state={self.state!r}, timed_out={self.timed_out!r}>"
        )


def _details(exception: Any) -> JobException | None:
    if isinstance(exception, str | bytes):
        try:
            exception = json.loads(exception)
        except ValueError:
            return None
    try:
        return JobException(**exception)
    except TypeError:
        return None
