"""A job, and what a client knows of a job that it has submitted."""

import json
from collections import deque
from collections.abc import Mapping
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
from .options import JobOptions
from .payload import LIMIT, excerpt


class Connection(Protocol):
    """What a job's function or a request may use of the job's connection."""

    gearman_host: str
    gearman_port: int

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""

    def get_address(self) -> tuple[str, int]:
        """Return host and port of the server."""


class JobStatus(TypedDict):
    """The last status of a job that a server has sent; an empty dict before that.

    The times are in seconds since the epoch. When a client asks for the status,
    `last_time_received` keeps the time of the status before.
    """

    handle: str | None
    known: bool
    running: bool
    numerator: int
    denominator: int
    time_received: float
    last_time_received: NotRequired[float | None]


class UniqueStatus(JobStatus):
    """The status of the job with a unique, and how many clients wait for its result."""

    unique: str
    clients: int


class Runner(Protocol):
    """What a job needs from the worker that runs it."""

    def is_cancelled(self, current_job: "GearmanJob") -> bool:
        """Whether the server has said that nobody wants the job any more."""


class GearmanJob:
    """A job, in a client or in a worker.

    `task` is the function's name, of the type (str or bytes) that the worker registered
    or the client submitted. `data` is the workload: a worker gets it decoded, a client
    keeps it as it is before encoding. In a client, `connection` is None until the job
    is sent, and `handle` until it is accepted. If a client asked for the status of
    another client's job, only `connection` and `handle` are known, the rest is None.
    `reducer` is set in a worker with `grab_all`, if the job has one.
    """

    reducer: str | None = None

    # The worker that runs the job.
    _runner: Runner | None = None

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

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the result of this job any more, in a worker.

        That is so if the job was cancelled, if the client that waited for it is gone,
        if its time is over, and if the connection to its server is lost. Each look
        reads what the server has sent, without waiting. With a server that does not
        tell this, it is False.
        """
        return self._runner is not None and self._runner.is_cancelled(self)

    def to_dict(self) -> dict[str, Any]:
        """Return task, handle (as `job_handle`), unique and data in a dict."""
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
    """An exception that a worker has reported: its class, text and traceback."""

    type: str
    message: str
    traceback: str


class Session:
    """The time from the opening of a connection until it is lost."""

    __slots__ = ("is_over",)

    def __init__(self) -> None:
        self.is_over = False


class GearmanJobRequest:
    """What a client knows of a job: its state, its result, its updates.

    `state` is JOB_UNKNOWN, JOB_PENDING, JOB_CREATED, JOB_COMPLETE or JOB_FAILED;
    `timed_out` says whether the last wait ran out of time. The job is submitted
    `max_attempts` times at most. `when_to_run` (seconds since the epoch), `reducer` and
    `options` (JobOptions, or a dict with their names) may be set before it is
    submitted; also `bound_to`, the connection of the only server that may get it.
    """

    when_to_run: float | None = None
    reducer: str | bytes | None = None
    options: JobOptions | Mapping[str, object] | None = None
    bound_to: Connection | None = None

    # The state that was set last; `state` may differ when the session is over in which
    # a background job was accepted. So a connection needs no references to such
    # requests, each of which would cost as much as a job in the collector of cycles.
    last_state = JOB_UNKNOWN
    session: Session | None = None

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

        # From the object it is read in less time than from the class.
        self._used = False
        self.initialize_request()

    def initialize_request(self) -> None:
        """Drop all received data, and make the state JOB_UNKNOWN."""
        self.result: Any = None
        self.exception: Any = None
        self.last_state = JOB_UNKNOWN
        self.timed_out = False
        # Access to __dict__ would create one, which most requests do not need.
        if self._used:
            for name in ("status", "warning_updates", "data_updates"):
                self.__dict__.pop(name, None)
        self._used = True

    def reset(self) -> None:
        """Make the request ready to be submitted again."""
        self.initialize_request()
        self.connection: Connection | None = None
        self.handle: str | None = None

    # Created at the first access: most requests never get an update, and these would
    # take more memory than the rest of the request.
    @cached_property
    def status(self) -> JobStatus:
        """The last status that has arrived; empty before that."""
        return {}  # type: ignore[typeddict-item]

    @cached_property
    def warning_updates(self) -> deque[Any]:
        """The decoded payloads of WORK_WARNING, oldest first."""
        return deque()

    @cached_property
    def data_updates(self) -> deque[Any]:
        """The decoded payloads of WORK_DATA, oldest first."""
        return deque()

    @property
    def status_updates(self) -> deque[tuple[int, int]]:
        """Deprecated: the last (numerator, denominator) of `status`, if any."""
        status = self.status
        if not status:
            return deque()
        return deque([(status.get("numerator", 0), status.get("denominator", 0))])

    @property
    def server_status(self) -> JobStatus:
        """Deprecated: `status`."""
        return self.status

    @property
    def state(self) -> str:
        """How far the job is, as far as the client knows."""
        state = self.last_state
        if state == JOB_CREATED and self.session is not None and self.session.is_over:
            return JOB_UNKNOWN
        return state

    @state.setter
    def state(self, state: str) -> None:
        self.last_state = state
        self.session = None

    @property
    def job(self) -> GearmanJob:
        """The job of this request."""
        return self.gearman_job

    @property
    def complete(self) -> bool:
        """Whether the client expects nothing more for this job.

        That is so when a background job was accepted, or a foreground job has ended.
        """
        if self.background:
            # The same as `state`, without the time for a call.
            session = self.session
            is_lost = session is not None and session.is_over
            return self.last_state == JOB_CREATED and not is_lost
        return self.last_state in (JOB_FAILED, JOB_COMPLETE)

    @property
    def exception_details(self) -> JobException | None:
        """The exception of a worker that has `report_exceptions`, else None."""
        return exception_details(self.exception)

    def __repr__(self) -> str:
        return (
            f"<GearmanJobRequest task={excerpt(self.job.task)}, "
            f"unique={excerpt(self.job.unique)}, priority={self.priority!r}, "
            f"background={self.background!r}, "
            f"state={self.state!r}, timed_out={self.timed_out!r}>"
        )


def exception_details(exception: Any) -> JobException | None:
    """Return what a worker with `report_exceptions` has sent; None if it is else."""
    if isinstance(exception, str | bytes):
        try:
            exception = json.loads(exception)
        except ValueError:
            return None
    try:
        return JobException(**exception)
    except TypeError:
        return None
