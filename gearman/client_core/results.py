"""What a server says of the result of a job, and what that means for the caller."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from ..constants import JOB_COMPLETE, JOB_FAILED
from ..errors import (
    JobFailed,
    ResultNotReady,
    UnknownJob,
    UnsupportedByServer,
)
from ..job import Connection, GearmanJobRequest, exception_details
from ..payload import Payload
from .steered import server_name

# The states of RESULT_RES: of jobs that have ended, and of other jobs.
DONE: Final = "done"
FAILED: Final = "failed"
EXCEPTION: Final = "exception"
UNKNOWN: Final = "unknown"
_UNENDED: Final = ("waiting", "running")

# Seconds that storing a result may take, and after which to ask again.
STORING: Final = 1.0
PAUSE: Final = 0.01


class ResultAnswer:
    """The answer of one server to GET_RESULT; `state` is empty until it has come.

    A server `without` extensions cannot be asked.
    """

    __slots__ = ("connection", "data", "handle", "state", "without")

    def __init__(self, handle: str, connection: Connection) -> None:
        self.handle = handle
        self.connection = connection
        self.state = ""
        self.data = Payload()
        self.without = False

    def told(self, state: str, data: Payload) -> None:
        """Take the answer."""
        self.state = state
        self.data = data

    @property
    def is_open(self) -> bool:
        """Whether the answer may still come."""
        return not (self.state or self.without) and self.connection.connected

    @property
    def unended(self) -> bool:
        """Whether the server knows the job, and it has not ended."""
        return self.state in _UNENDED

    def result(self, decode: Callable[[Payload], object]) -> object:
        """Return the result of a job that is done.

        Raises JobFailed, ResultNotReady or UnknownJob otherwise, and what `decode`
        raises.
        """
        if self.state == DONE:
            return decode(self.data)
        if self.state == FAILED:
            raise JobFailed(self.handle, str(self.data))
        if self.state == EXCEPTION:
            raise failure(self.handle, reported(self.data, decode))
        if self.state == UNKNOWN:
            raise UnknownJob(self.handle)
        raise ResultNotReady(self.handle, self.state)


def reported(data: Payload, decode: Callable[[Payload], object]) -> object:
    """Return the decoded exception of a worker, or as it is if it can't be decoded."""
    try:
        return decode(data)
    except Exception:
        # A worker with another encoder may have sent it.
        return data


def failure(handle: str | None, exception: object) -> JobFailed:
    """Return the error for a job of which a worker has reported an exception."""
    details = exception_details(exception)
    reason = "" if details is None else f"{details.type}: {details.message}"
    return JobFailed(handle, reason, exception)


def end_of(request: GearmanJobRequest) -> Any:
    """Return the result of a request whose job has ended.

    Raises JobFailed if it has failed, and ResultNotReady if it has not ended.
    """
    handle = request.job.handle
    if request.state == JOB_COMPLETE:
        return request.result
    if request.state == JOB_FAILED:
        raise failure(handle, request.exception)
    raise ResultNotReady(handle, "waiting" if handle else "")


def of_all(answers: Iterable[ResultAnswer]) -> ResultAnswer:
    """Return the answer that counts, where only one server can know the job.

    That is the first one of a server that knows it, or that may know it. Raises
    UnsupportedByServer if that server is without extensions.
    """
    answer = min(answers, key=_rank)
    if answer.without:
        raise UnsupportedByServer(server_name(answer.connection), ["results of jobs"])
    return answer


def _rank(answer: ResultAnswer) -> int:
    if answer.state:
        return 3 if answer.state == UNKNOWN else 0
    return 1 if answer.without else 2
