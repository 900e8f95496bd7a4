"""How far jobs are."""

from collections.abc import Callable, Iterable
from typing import Any

from .. import util
from ..commands import MAX_HANDLE, MAX_UNIQUE
from ..constants import JOB_CREATED
from ..errors import (
    ConnectionError,
    InvalidClientState,
    ProtocolError,
    ServerUnavailable,
)
from ..payload import as_bytes, as_text
from .server_choice import ServerChoice
from .waiting import All, assert_several


class JobStatuses(ServerChoice):
    """Asks servers how far jobs are, by request, by handle or by unique."""

    def get_job_status(
        self, current_request: Any, poll_timeout: float | None = None
    ) -> Any:
        """Ask how far a job is; the answer is in the request's `status`.

        Of a job that somebody else submitted the handle is enough: all servers are
        asked, and a request with the answer is returned. Its status is empty if no
        server answered in time.
        """
        return util.unlist(
            self.get_job_statuses([current_request], poll_timeout=poll_timeout)
        )

    def get_job_statuses(
        self, job_requests: Any, poll_timeout: float | None = None
    ) -> Any:
        """Ask how far jobs are, and wait for the answers.

        Handles among the requests are answered by requests, in a list. Raises
        InvalidClientState for a request that was not submitted, ProtocolError for
        what can be no handle, since it has a NUL or over 64 bytes, and
        ServerUnavailable if the server that has the job can't be reached.
        """
        assert_several(job_requests)
        handles = [
            _name("handle", request, MAX_HANDLE)
            for request in job_requests
            if isinstance(request, str | bytes)
        ]
        if handles:
            return self._with_handles(job_requests, handles, poll_timeout)
        with self._exclusively():
            for request in job_requests:
                told = request.status.get("time_received")
                request.status["last_time_received"] = told
                self._handler_of(request).send_get_status_of_job(request)
        return self.wait_until_job_statuses_received(
            job_requests, poll_timeout=poll_timeout
        )

    def _handler_of(self, request: Any) -> Any:
        connection = request.job.connection
        if connection not in self.connection_list or request.job.handle is None:
            raise InvalidClientState(f"not submitted by this client: {request!r}")
        try:
            self.establish_connection(connection)
        except ConnectionError as error:
            raise ServerUnavailable(
                f"The server that was given the job cannot be reached: {error}"
            ) from error
        return self.connection_to_handler_map[connection]

    def wait_until_job_statuses_received(
        self, job_requests: Any, poll_timeout: float | None = None
    ) -> Any:
        """Wait for the answers to what `get_job_statuses` asked."""
        assert_several(job_requests)
        if any(map(_has_old_status, job_requests)):
            self.poll_connections_until_stopped(
                self.connection_list,
                All(job_requests, self._awaits_status),
                timeout=poll_timeout,
            )
        for request in job_requests:
            request.status = request.status or {}
            request.timed_out = _has_old_status(request)
        return job_requests

    def _awaits_status(self, request: Any) -> bool:
        """Whether an answer may come: none does on a connection that was lost."""
        handler = self.connection_to_handler_map.get(request.job.connection)
        return (
            _has_old_status(request)
            and handler is not None
            and request.job.handle in handler.handle_to_request_map
        )

    def _with_handles(
        self, jobs: Iterable[Any], handles: list[str], poll_timeout: float | None
    ) -> list[Any]:
        """Ask for requests, and for handles of jobs that nobody here submitted."""
        stopwatch = util.Stopwatch(poll_timeout)
        found = self._ask_all(
            "send_get_status_of_handle", dict.fromkeys(handles), poll_timeout
        )
        requests = [job for job in jobs if not isinstance(job, str | bytes)]
        self.get_job_statuses(requests, stopwatch.get_time_remaining())
        return [
            self._request_of(as_text(job), *found[as_text(job)])
            if isinstance(job, str | bytes)
            else job
            for job in jobs
        ]

    def _request_of(self, handle: str, connection: Any, status: dict[str, Any]) -> Any:
        request = self.job_request_class(
            self.job_class(connection, handle, None, None, None), background=True
        )
        request.status = status
        request.timed_out = not status
        if status.get("known"):
            request.state = JOB_CREATED
        return request

    def get_unique_status(
        self, unique: str | bytes, poll_timeout: float | None = None
    ) -> dict[str, Any] | None:
        """Ask how far the job with a unique is, whoever submitted it.

        Returns a dict like a request's `status`, with `unique` and the number of
        waiting `clients`; None if no server answered in time. All servers are
        asked; raises ServerUnavailable if none can be reached, and ProtocolError for
        what can be no unique, since it has a NUL or over 64 bytes.
        """
        name = _name("unique", unique, MAX_UNIQUE)
        found = self._ask_all("send_get_status_of_unique", [name], poll_timeout)
        return found[name][1] or None

    def _ask_all(
        self, method: str, names: Iterable[str], poll_timeout: float | None
    ) -> dict[str, tuple[Any, dict[str, Any]]]:
        """Have the handlers of all servers ask for names, and wait for the answers.

        Returns for each the connection and the status of the server that knows it,
        or of any other; the status is empty if none answered in time.
        """
        asked: dict[str, list[tuple[Any, dict[str, Any]]]] = {}
        with self._exclusively():
            for connection in self._reachable():
                send: Callable[..., None] = getattr(
                    self.connection_to_handler_map[connection], method
                )
                for name in names:
                    status: dict[str, Any] = {}
                    send(name, status)
                    asked.setdefault(name, []).append((connection, status))
        outstanding = [pair for pairs in asked.values() for pair in pairs]
        self.poll_connections_until_stopped(
            self.connection_list,
            lambda _: any(not status and c.connected for c, status in outstanding),
            timeout=poll_timeout,
        )
        return {
            name: max(pairs, key=lambda pair: pair[1].get("known", -1))
            for name, pairs in asked.items()
        }


def _name(kind: str, value: str | bytes, most: int) -> str:
    """Return as text what servers are asked about, if they can be asked."""
    name = as_bytes(value)
    if len(name) > most or b"\0" in name:
        what = "has a NUL" if b"\0" in name else f"is {len(name)} bytes long"
        raise ProtocolError(
            f"no {kind} {what}: it may have up to {most} bytes without NUL"
        )
    return as_text(value)


def _has_old_status(request: Any) -> bool:
    status = request.status
    return bool(status.get("time_received") == status.get("last_time_received"))
