"""The result of a job, which a client asks the servers for after the job was submitted.

A server answers at once. A client that waits for the end of a job watches it on the
server that knows it: it hears of the end as if it had submitted the job.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..client_core.inquiry import checked_handle
from ..client_core.results import (
    PAUSE,
    STORING,
    ResultAnswer,
    end_of,
    failure,
    of_all,
)
from ..client_handler import GearmanClientCommandHandler
from ..connection import GearmanConnection
from ..constants import JOB_COMPLETE, JOB_CREATED, JOB_FAILED, JOB_UNKNOWN
from ..errors import InvalidClientState, JobFailed, ResultNotReady
from ..job import Connection, GearmanJob, GearmanJobRequest
from .job_statuses import Asker, Job


class Client(Asker, Protocol):
    """What is needed of a client, in addition to Asker."""

    job_class: type[GearmanJob]
    job_request_class: type[GearmanJobRequest]

    def wait_until_jobs_completed(
        self, job_requests: list[GearmanJobRequest], poll_timeout: float | None = None
    ) -> list[GearmanJobRequest]:
        """Wait until all requests have ended."""


def get_result(
    client: Client, job: Job, wait: float | None, poll_timeout: float | None
) -> Any:
    """Return the result of a job, as GearmanClient.get_result does."""
    known = None
    if isinstance(job, str | bytes):
        handle, connections = checked_handle(job), client.connection_list
        known = _open_request(client, handle)
    else:
        if not job.background and job.state != JOB_UNKNOWN:
            # The server tells its end without being asked.
            if wait:
                client.wait_until_jobs_completed([job], poll_timeout=wait)
            if job.state != JOB_UNKNOWN:
                return end_of(job)
        handle, connections = _place(client, job)
    answer = _ask(client, handle, connections, poll_timeout)
    if known is not None and known.state in (JOB_COMPLETE, JOB_FAILED):
        # Its end was told before the answer.
        return end_of(known)
    if wait and answer.unended:
        return _watch(client, answer, wait, poll_timeout)
    return answer.result(client.data_encoder.decode)


def _open_request(client: Client, handle: str) -> GearmanJobRequest | None:
    """Return the request of this client that is told the end of a job, if any."""
    with client._exclusively():
        for connection in client.connection_list:
            if connection.connected:
                request = client._handler(connection).open_requests.watcher(handle)
                if request is not None:
                    return request
    return None


def _place(
    client: Client, request: GearmanJobRequest
) -> tuple[str, list[GearmanConnection]]:
    """Return the handle of a job, and the connection to its server.

    Raises JobFailed if the server has refused it, and InvalidClientState if it was not
    submitted, or not by this client.
    """
    handle, connection = request.job.handle, request.job.connection
    if handle is None and request.state == JOB_FAILED:
        raise failure(None, request.exception)
    places = _places(client, connection)
    if handle is None or not places:
        raise InvalidClientState(
            f"not accepted by a server of this client: {request!r}"
        )
    return handle, places


def _places(client: Client, connection: Connection | None) -> list[GearmanConnection]:
    return [each for each in client.connection_list if each is connection]


def _ask(
    client: Client,
    handle: str,
    connections: Sequence[GearmanConnection],
    timeout: float | None,
) -> ResultAnswer:
    """Ask servers for a result; return the answer of the one that knows the job."""
    end = None if timeout is None else time.monotonic() + timeout
    handlers = _with_extensions(client, connections, end)
    answers = []
    with client._exclusively():
        for connection, handler in handlers.items():
            answer = ResultAnswer(handle, connection)
            answers.append(answer)
            answer.without = handler.extensions is False
            if handler.extensions and connection.connected:
                handler.send_get_result(answer)
    _wait(client, end, lambda: any(answer.is_open for answer in answers))
    return of_all(answers)


def _with_extensions(
    client: Client, connections: Sequence[GearmanConnection], end: float | None
) -> dict[GearmanConnection, GearmanClientCommandHandler]:
    """Return the open connections with their handlers, which know of extensions then.

    Raises ServerUnavailable if there is none.
    """
    with client._exclusively():
        opened = client._opened(connections)
        if not opened:
            raise client._unavailable("Found no valid connections")
        handlers = {each: client._handler(each) for each in opened}
        for handler in handlers.values():
            handler.ask_extensions()
    _wait(
        client,
        end,
        lambda: any(
            handler.extensions is None and connection.connected
            for connection, handler in handlers.items()
        ),
    )
    return handlers


def _wait(client: Client, end: float | None, wanted: Callable[[], bool]) -> None:
    """Wait while something is `wanted`, until `end` of the monotonic clock."""
    if wanted():
        timeout = None if end is None else max(0.0, end - time.monotonic())
        client.poll_connections_until_stopped(
            client.connection_list, lambda _: wanted(), timeout=timeout
        )


def _watch(
    client: Client, found: ResultAnswer, wait: float, poll_timeout: float | None
) -> Any:
    """Wait for the end of a job on its server, and return its result."""
    handle, connection = found.handle, found.connection
    answer = ResultAnswer(handle, connection)
    with client._exclusively():
        handler = client._handler(connection)
        request = handler.open_requests.watcher(handle)
        if request is None:
            job = client.job_class(connection, handle, None, None, None)
            request = client.job_request_class(job)
            handler.send_watch_job(request)
        # It may have ended before it was watched.
        handler.send_get_result(answer)
    watching = request

    def unended() -> bool:
        open_ = answer.unended or answer.is_open
        return watching.state == JOB_CREATED and open_

    _wait(client, time.monotonic() + wait, unended)
    if watching.state == JOB_COMPLETE:
        return watching.result
    if watching.state == JOB_FAILED and watching.exception is not None:
        raise failure(handle, watching.exception)
    if watching.state == JOB_FAILED:
        raise JobFailed(handle, _reason(client, found, poll_timeout))
    if watching.state == JOB_UNKNOWN:
        # Its connection was lost.
        again = _ask(client, handle, _places(client, connection), poll_timeout)
        return again.result(client.data_encoder.decode)
    if answer.unended or not answer.state:
        raise ResultNotReady(handle, answer.state or found.state)
    with client._exclusively():
        handler.open_requests.unwatch(watching)
    return answer.result(client.data_encoder.decode)


def _reason(client: Client, found: ResultAnswer, poll_timeout: float | None) -> str:
    """Ask why a job has failed, which WORK_FAIL does not say.

    For a short time the server may say that the job runs: it tells a result that it
    keeps only when that is stored. If it keeps none, there is no reason.
    """
    end = time.monotonic() + STORING
    places = _places(client, found.connection)
    while True:
        answer = _ask(client, found.handle, places, poll_timeout)
        if not answer.unended or time.monotonic() > end:
            return str(answer.data)
        client.poll_connections_until_stopped(places, lambda _: True, timeout=PAUSE)
