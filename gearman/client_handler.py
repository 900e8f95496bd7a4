"""The client's side of a connection: which answer belongs to which request."""

import logging
from collections import deque
from collections.abc import Iterable
from typing import Any
from weakref import ref

from .blocking.submission import number, submission
from .command_handler import GearmanCommandHandler
from .constants import (
    JOB_COMPLETE,
    JOB_CREATED,
    JOB_FAILED,
    JOB_PENDING,
    JOB_UNKNOWN,
)
from .errors import InvalidClientState
from .job import GearmanJobRequest
from .protocol import (
    GEARMAN_COMMAND_GET_STATUS,
    GEARMAN_COMMAND_GET_STATUS_UNIQUE,
    GEARMAN_COMMAND_OPTION_REQ,
)
from .protocol import (
    submit_cmd_for_background_priority as submit_cmd_for_background_priority,
)

gearman_logger = logging.getLogger(__name__)

# So many references may be dead before they are swept out.
_MANY = 1024


class GearmanClientCommandHandler(GearmanCommandHandler):
    """Assigns handles, updates and results to the requests of a GearmanClient.

    `requests_awaiting_handles` holds what was submitted and not answered yet, in
    that order, since that is the order of the answers. `handle_to_request_map`
    holds requests that an update or a result may come for; one that has ended is
    not in it, and nothing keeps a background request alive.
    """

    def __init__(self, connection_manager: Any = None) -> None:
        super().__init__(connection_manager=connection_manager)
        self.requests_awaiting_handles: deque[GearmanJobRequest] = deque()
        self.handle_to_request_map: dict[str, GearmanJobRequest] = {}
        # Accepted in the background: unknown again once the connection is lost.
        self._accepted: list[ref[GearmanJobRequest]] = []
        self._enough = _MANY
        # Requests that joined one job; the server sends each packet once for each.
        self._joined: dict[str, deque[GearmanJobRequest]] = {}
        # What GET_STATUS_UNIQUE asked for, in the order of the questions, and
        # GET_STATUS without a request, by handle.
        self._unique_statuses: deque[tuple[str, dict[str, Any]]] = deque()
        self._handle_statuses: dict[str, list[dict[str, Any]]] = {}

    def initial_state(self, *largs: Any, **kwargs: Any) -> None:
        """Ask for exceptions: gearmand reports them as plain failures otherwise."""
        self.send_command(GEARMAN_COMMAND_OPTION_REQ, option_name="exceptions")

    # What the client calls.

    def send_job_request(self, current_request: GearmanJobRequest) -> None:
        """Submit a job.

        Raises InvalidClientState unless the request's state is JOB_UNKNOWN, and
        ProtocolError or what the encoder raises if it cannot be sent; its state is
        JOB_UNKNOWN still then.
        """
        if current_request.state != JOB_UNKNOWN:
            self._assert_request_state(current_request, JOB_UNKNOWN)
        job = current_request.job
        cmd_type, extra = submission(current_request)
        data = self.encode_data(job.data)
        self.send_command(
            cmd_type, task=job.task, unique=job.unique, data=data, **extra
        )
        current_request.state = JOB_PENDING
        self.requests_awaiting_handles.append(current_request)

    def send_get_status_of_job(self, current_request: GearmanJobRequest) -> None:
        """Ask how far a job is."""
        self._register_request(current_request)
        self.send_command(
            GEARMAN_COMMAND_GET_STATUS, job_handle=current_request.job.handle
        )

    def send_get_status_of_handle(self, handle: str, status: dict[str, Any]) -> None:
        """Ask how far a job is that has no request; the answer goes into `status`."""
        self._handle_statuses.setdefault(handle, []).append(status)
        self.send_command(GEARMAN_COMMAND_GET_STATUS, job_handle=handle)

    def send_get_status_of_unique(self, unique: str, status: dict[str, Any]) -> None:
        """Ask how far the job with a unique is; the answer goes into `status`."""
        self._unique_statuses.append((unique, status))
        self.send_command(GEARMAN_COMMAND_GET_STATUS_UNIQUE, unique=unique)

    def on_io_error(self) -> None:
        for request in self.requests_awaiting_handles:
            request.state = JOB_UNKNOWN
        for request in [*self._alive(), *self._in_flight()]:
            request.state = JOB_UNKNOWN

    def expects_answer(self) -> bool:
        return bool(
            self.requests_awaiting_handles
            or self._unique_statuses
            or self._handle_statuses
        )

    # Which requests an answer is for.

    def _alive(self) -> Iterable[GearmanJobRequest]:
        """Yield the accepted background requests that somebody still holds."""
        for reference in self._accepted:
            request = reference()
            if request is not None:
                yield request

    def _in_flight(self) -> Iterable[GearmanJobRequest]:
        for handle in self.handle_to_request_map:
            for request in self._attached(handle):
                if request.background or request.state == JOB_CREATED:
                    yield request

    def _register_request(self, current_request: GearmanJobRequest) -> None:
        handle: Any = current_request.job.handle
        known = self.handle_to_request_map.setdefault(handle, current_request)
        if known is not current_request:
            joined = self._joined.setdefault(handle, deque([known]))
            if not any(request is current_request for request in joined):
                joined.append(current_request)

    def _unregister_request(
        self, current_request: GearmanJobRequest
    ) -> GearmanJobRequest | None:
        handle: Any = current_request.job.handle
        self._joined.pop(handle, None)
        return self.handle_to_request_map.pop(handle, None)

    def _attached(self, handle: str) -> tuple[GearmanJobRequest, ...]:
        """Return the requests for a handle; none if nobody waits for it any more."""
        joined = self._joined.get(handle)
        if joined:
            return tuple(joined)
        request = self.handle_to_request_map.get(handle)
        if request is None:
            gearman_logger.debug("nobody waits for %s any more", handle)
            return ()
        return (request,)

    def _next_attached(self, handle: str) -> tuple[GearmanJobRequest, ...]:
        """Return the one request that this copy of an update is for."""
        attached = self._attached(handle)
        if len(attached) > 1:
            self._joined[handle].rotate(-1)
        for request in attached[:1]:
            self._assert_request_state(request, JOB_CREATED)
        return attached[:1]

    def _assert_request_state(
        self, current_request: GearmanJobRequest, expected_state: str
    ) -> None:
        state = current_request.state
        if state != expected_state:
            handle = current_request.job.handle
            raise InvalidClientState(
                f"Expected handle ({handle}) to be in state {expected_state!r}, "
                f"got {state!r}"
            )

    # What the server sends.

    def recv_job_created(self, job_handle: str) -> bool:
        if not self.requests_awaiting_handles:
            raise InvalidClientState("Received a job_handle with no pending requests")
        request = self.requests_awaiting_handles.popleft()
        if request.state != JOB_PENDING:
            self._assert_request_state(request, JOB_PENDING)
        request.gearman_job.handle = job_handle
        request.state = JOB_CREATED
        if request.background:
            self._accepted.append(ref(request))
            if len(self._accepted) > self._enough:
                self._accepted = [ref(request) for request in self._alive()]
                self._enough = max(_MANY, 2 * len(self._accepted))
        else:
            self._register_request(request)
        return True

    def recv_work_data(self, job_handle: str, data: Any) -> bool:
        for request in self._next_attached(job_handle):
            request.data_updates.append(self.decode_data(data))
        return True

    def recv_work_warning(self, job_handle: str, data: Any) -> bool:
        for request in self._next_attached(job_handle):
            request.warning_updates.append(self.decode_data(data))
        return True

    def recv_work_status(
        self, job_handle: str, numerator: str, denominator: str
    ) -> bool:
        for request in self._next_attached(job_handle):
            request.status = self._status(True, True, numerator, denominator)
            request.status["handle"] = job_handle
        return True

    def recv_work_complete(self, job_handle: str, data: Any) -> bool:
        for request in self._ended(job_handle):
            # What follows if the result cannot be decoded: nothing else will come.
            request.state = JOB_FAILED
            try:
                request.result = self.decode_data(data)
            except Exception as error:
                if not self._others_wait():
                    raise
                # Raised here it could end the wait of another thread.
                request.exception = f"{type(error).__name__}: {error}"
                gearman_logger.exception("the result of %s is unreadable", job_handle)
                continue
            request.state = JOB_COMPLETE
        return True

    def recv_work_fail(self, job_handle: str) -> bool:
        for request in self._ended(job_handle):
            request.state = JOB_FAILED
        return True

    def recv_work_exception(self, job_handle: str, data: Any) -> bool:
        """End the job: no WORK_FAIL follows."""
        for request in self._ended(job_handle):
            request.exception = self._decoded_if_possible(data)
            request.state = JOB_FAILED
        return True

    def recv_status_res(
        self,
        job_handle: str,
        known: str,
        running: str,
        numerator: str,
        denominator: str,
    ) -> bool:
        told = self._status(known == "1", running == "1", numerator, denominator)
        told["handle"] = job_handle
        for status in self._handle_statuses.pop(job_handle, ()):
            status.update(told)
        for request in self._attached(job_handle):
            request.status = dict(told)
            awaited = not request.background and request.state == JOB_CREATED
            if known != "1" or not awaited:
                self._unregister_request(request)
        return True

    def recv_status_res_unique(
        self,
        unique: str,
        known: str,
        running: str,
        numerator: str,
        denominator: str,
        clients: str,
    ) -> bool:
        status = self._status(known == "1", running == "1", numerator, denominator)
        status.update(unique=unique, clients=number(clients))
        self._asked_first(unique).update(status)
        return True

    def _asked_first(self, unique: str) -> dict[str, Any]:
        """Return what is to hold the answer to the first question for a unique.

        Answers come in the order of the questions. So one that names another unique,
        as gearmand cuts them, is for the first question of all.
        """
        line = self._unique_statuses
        names = [name for name, _ in line]
        if not names:
            return {}
        place = names.index(unique) if unique in names else 0
        _, status = line[place]
        del line[place]
        return status

    def recv_error(self, error_code: str, error_text: str) -> Any:
        """Fail the request that the server refuses: it sends no handle for it."""
        if error_code == "UNKNOWN_OPTION":
            gearman_logger.debug("the server does not report exceptions")
            return True
        if self.requests_awaiting_handles:
            request = self.requests_awaiting_handles.popleft()
            request.exception = f"{error_code}: {error_text}"
            request.state = JOB_FAILED
        return super().recv_error(error_code, error_text)

    def _ended(self, job_handle: str) -> tuple[GearmanJobRequest, ...]:
        """Return the requests for a job that has ended, and forget them."""
        requests = self._attached(job_handle)
        for request in requests:
            self._assert_request_state(request, JOB_CREATED)
            self._unregister_request(request)
        return requests

    def _others_wait(self) -> bool:
        """Whether several threads wait for what this one receives."""
        turns = getattr(self.connection_manager, "_turns", None)
        return turns is not None and turns.followed

    def _decoded_if_possible(self, data: Any) -> Any:
        try:
            return self.decode_data(data)
        except Exception:
            # It need not come from a worker with the same encoder.
            return data

    def _status(
        self, known: bool, running: bool, numerator: str, denominator: str
    ) -> dict[str, Any]:
        return {
            "handle": None,
            "known": known,
            "running": running,
            "numerator": number(numerator),
            "denominator": number(denominator),
            "time_received": self.connection_manager.current_time(),
        }
