"""The status of jobs, which a client asks for by request, by handle or by unique."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, cast

from ..client_core.inquiry import Inquiry, checked_handle, has_old_status
from ..client_handler import GearmanClientCommandHandler
from ..command_handler import GearmanCommandHandler
from ..connection import GearmanConnection
from ..constants import JOB_CREATED
from ..encoders import Encoder
from ..errors import ConnectionError, InvalidClientState, ServerUnavailable
from ..job import Connection, GearmanJob, GearmanJobRequest, JobStatus, UniqueStatus
from ..payload import as_text

# A request, or the handle of a job that another client has submitted.
Job = GearmanJobRequest | str | bytes

# Takes a handler, and returns its method that asks for the status of a handle or
# unique. The dict that the method gets is filled with the answer.
Question = Callable[[GearmanClientCommandHandler], Callable[[str, UniqueStatus], None]]


class Asker(Protocol):
    """What is needed of a client to ask its servers something."""

    connection_list: list[GearmanConnection]
    data_encoder: Encoder
    connection_to_handler_map: dict[Connection, GearmanCommandHandler]

    def _exclusively(self) -> AbstractContextManager[Any]: ...

    def _opened(
        self, connections: Iterable[GearmanConnection]
    ) -> list[GearmanConnection]: ...

    def _unavailable(self, text: str) -> ServerUnavailable: ...

    def _handler(
        self, connection: Connection | None
    ) -> GearmanClientCommandHandler: ...

    def poll_connections_until_stopped(
        self,
        submitted_connections: Iterable[GearmanConnection],
        callback_fxn: Callable[[bool], object],
        timeout: float | None = None,
    ) -> bool:
        """Poll until the callback returns False, or for `timeout` seconds."""


def ask_all(
    client: Asker,
    names: Iterable[str],
    question: Question,
    poll_timeout: float | None,
) -> Inquiry:
    """Ask all servers about jobs, and wait for the answers.

    Raises ServerUnavailable if no server can be reached.
    """
    inquiry = Inquiry()
    with client._exclusively():
        connections = client._opened(client.connection_list)
        if not connections:
            raise client._unavailable("Found no valid connections")
        for connection in connections:
            handler = client._handler(connection)
            inquiry.ask_all(names, connection, question(handler))
    client.poll_connections_until_stopped(
        client.connection_list, lambda _: inquiry.is_open(), timeout=poll_timeout
    )
    return inquiry


def is_awaited(client: Asker, request: GearmanJobRequest) -> bool:
    """Whether a status may still come, which is not so on a lost connection."""
    if not has_old_status(request):
        return False
    connection, handle = request.job.connection, request.job.handle
    known = connection in client.connection_to_handler_map
    return known and handle in client._handler(connection).handle_to_request_map


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
