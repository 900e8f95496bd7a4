"""The status of jobs, which a client asks for by request, by handle or by unique."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import cast

from ..client_core.inquiry import Inquiry, checked_handle
from ..client_handler import GearmanClientCommandHandler
from ..connection import GearmanConnection
from ..constants import JOB_CREATED
from ..errors import ConnectionError, InvalidClientState, ServerUnavailable
from ..job import Connection, GearmanJob, GearmanJobRequest, JobStatus, UniqueStatus
from ..payload import as_text

# A request, or the handle of a job that another client has submitted.
Job = GearmanJobRequest | str | bytes

# Takes a handler, and returns its method that asks for the status of a handle or
# unique. The dict that the method gets is filled with the answer.
Question = Callable[[GearmanClientCommandHandler], Callable[[str, UniqueStatus], None]]


def divide(jobs: Collection[Job]) -> tuple[list[GearmanJobRequest], list[str]]:
    """Return the requests, and the handles without duplicates.

    Raises ProtocolError for a handle with a NUL or over 64 bytes.
    """
    handles: dict[str, None] = {}
    requests = []
    for job in jobs:
        if isinstance(job, str | bytes):
            handles[checked_handle(job)] = None
        else:
            requests.append(job)
    return requests, list(handles)


def united(
    jobs: Iterable[Job],
    inquiry: Inquiry,
    job_class: type[GearmanJob],
    request_class: type[GearmanJobRequest],
) -> list[GearmanJobRequest]:
    """Return the requests, and a new request with the answer for each handle."""

    def request_of(
        handle: str, connection: Connection, status: JobStatus
    ) -> GearmanJobRequest:
        job = job_class(connection, handle, None, None, None)
        request = request_class(job, background=True)
        request.status = status
        request.timed_out = not status
        if status.get("known"):
            request.state = JOB_CREATED
        return request

    return [
        request_of(as_text(job), *inquiry.answer(as_text(job)))
        if isinstance(job, str | bytes)
        else job
        for job in jobs
    ]


def open_for(
    request: GearmanJobRequest,
    connections: Sequence[GearmanConnection],
    establish: Callable[[GearmanConnection], object],
) -> GearmanConnection:
    """Open and return the connection of a request, before its status is asked for.

    Raises InvalidClientState if the request was not submitted on one of these
    connections, and ServerUnavailable if its server cannot be reached.
    """
    connection = cast(GearmanConnection, request.job.connection)
    if connection not in connections or request.job.handle is None:
        raise InvalidClientState(f"not submitted by this client: {request!r}")
    try:
        establish(connection)
    except ConnectionError as error:
        raise ServerUnavailable(
            f"The server that was given the job cannot be reached: {error}"
        ) from error
    request.status["last_time_received"] = request.status.get("time_received")
    return connection
