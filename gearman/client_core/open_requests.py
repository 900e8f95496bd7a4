"""Which request an answer of a server is for, and what the answer does to it.

A server answers submissions in their order, with JOB_CREATED or an ERROR. What it
sends later names the handle of the job. Several requests may have the same job: the
server sends each packet about it once for each of them.

    UNKNOWN -> PENDING -> (JOB_CREATED) -> CREATED -> (WORK_COMPLETE) -> COMPLETE
                  |                           |
               (ERROR)          (WORK_FAIL, WORK_EXCEPTION)
                  +-----------> FAILED <------+

When the connection is lost, what is PENDING or CREATED becomes UNKNOWN.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from weakref import ref

from ..constants import (
    JOB_COMPLETE,
    JOB_CREATED,
    JOB_FAILED,
    JOB_PENDING,
    JOB_UNKNOWN,
)
from ..errors import InvalidClientState
from ..job import GearmanJobRequest, JobStatus, UniqueStatus
from ..payload import Payload
from .submission import check_state

gearman_logger = logging.getLogger(__name__)

# So many references may be dead before they are swept out.
_MANY = 1024


class OpenRequests:
    """The requests at one server from which something is expected.

    `awaiting_handles` has what was submitted and not answered yet, in that order.
    `by_handle` has requests that an update or a result may come for; nothing keeps a
    background request alive.
    """

    def __init__(self) -> None:
        self.awaiting_handles: deque[GearmanJobRequest] = deque()
        self.by_handle: dict[str | None, GearmanJobRequest] = {}
        # Accepted in the background: unknown again once the connection is lost.
        self._background: list[ref[GearmanJobRequest]] = []
        self._enough = _MANY
        # Requests that have one job.
        self._joined: dict[str | None, deque[GearmanJobRequest]] = {}
        # What GET_STATUS_UNIQUE asked for, in the order of the questions, and
        # GET_STATUS without a request, by handle.
        self._unique_questions: deque[tuple[str, UniqueStatus]] = deque()
        self._handle_questions: dict[str, list[JobStatus]] = {}

    @property
    def expects_answer(self) -> bool:
        """Whether the server owes an answer that it can give at once."""
        return bool(
            self.awaiting_handles or self._unique_questions or self._handle_questions
        )

    # What was sent.

    def submitted(self, request: GearmanJobRequest) -> None:
        """Expect the handle of a request that was JOB_UNKNOWN."""
        request.state = JOB_PENDING
        self.awaiting_handles.append(request)

    def asked_status(self, request: GearmanJobRequest) -> None:
        """Expect a status of a request that has a handle."""
        self._register(request)

    def asked_handle(self, handle: str, status: JobStatus) -> None:
        """Expect the status of a job that has no request; it goes into `status`."""
        self._handle_questions.setdefault(handle, []).append(status)

    def asked_unique(self, unique: str, status: UniqueStatus) -> None:
        """Expect the status of the job with a unique; it goes into `status`."""
        self._unique_questions.append((unique, status))

    def lost(self) -> None:
        """Take note that the connection is lost."""
        for request in self.awaiting_handles:
            request.state = JOB_UNKNOWN
        for request in [*self._living(), *self._in_flight()]:
            request.state = JOB_UNKNOWN

    # What came.

    def created(self, handle: str) -> None:
        """JOB_CREATED: the next submission was accepted.

        Raises InvalidClientState if there is none.
        """
        if not self.awaiting_handles:
            raise InvalidClientState("Received a job_handle with no pending requests")
        request = self.awaiting_handles.popleft()
        if request.state != JOB_PENDING:
            check_state(request, JOB_PENDING)
        request.gearman_job.handle = handle
        request.state = JOB_CREATED
        if request.background:
            self._background.append(ref(request))
            if len(self._background) > self._enough:
                self._background = [ref(request) for request in self._living()]
                self._enough = max(_MANY, 2 * len(self._background))
        else:
            self._register(request)

    def refused(self, code: str, text: str) -> bool:
        """ERROR: the next submission was refused, and gets no handle.

        Returns whether anybody should be told: a server that does not know the option
        to report exceptions is no trouble.
        """
        if code == "UNKNOWN_OPTION":
            gearman_logger.debug("the server does not report exceptions")
            return False
        if self.awaiting_handles:
            request = self.awaiting_handles.popleft()
            request.exception = f"{code}: {text}"
            request.state = JOB_FAILED
        return True

    def data_came(
        self, handle: str, data: Payload, decode: Callable[[Payload], object]
    ) -> None:
        """WORK_DATA: a part of the result."""
        for request in self._next_of(handle):
            request.data_updates.append(decode(data))

    def warned(
        self, handle: str, data: Payload, decode: Callable[[Payload], object]
    ) -> None:
        """WORK_WARNING: a warning."""
        for request in self._next_of(handle):
            request.warning_updates.append(decode(data))

    def progressed(
        self, handle: str, numerator: str, denominator: str, now: float
    ) -> None:
        """WORK_STATUS: a job is so far."""
        for request in self._next_of(handle):
            request.status = _status(handle, True, True, numerator, denominator, now)

    def completed(
        self, handle: str, data: Payload, decode: Callable[[Payload], object]
    ) -> None:
        """WORK_COMPLETE: a job has ended with a result.

        A request whose result cannot be decoded has failed, as nothing else will
        come; what `decode` raises is raised when all have ended.
        """
        problem: Exception | None = None
        for request in self._end(handle):
            try:
                request.result = decode(data)
            except Exception as error:
                problem = error
                request.exception = f"{type(error).__name__}: {error}"
            else:
                request.state = JOB_COMPLETE
        if problem is not None:
            raise problem

    def failed(self, handle: str) -> None:
        """WORK_FAIL: a job has ended without a result."""
        self._end(handle)

    def raised(
        self, handle: str, data: Payload, decode: Callable[[Payload], object]
    ) -> None:
        """WORK_EXCEPTION: a job has ended with an exception; no WORK_FAIL follows."""
        for request in self._end(handle):
            try:
                request.exception = decode(data)
            except Exception:
                # It need not come from a worker with the same encoder.
                request.exception = data

    def status_told(
        self,
        handle: str,
        known: str,
        running: str,
        numerator: str,
        denominator: str,
        now: float,
    ) -> None:
        """STATUS_RES: the answer to GET_STATUS."""
        status = _status(
            handle, known == "1", running == "1", numerator, denominator, now
        )
        for asked in self._handle_questions.pop(handle, ()):
            asked.update(status)
        for request in self._requests_of(handle):
            request.status = status.copy()
            awaited = not request.background and request.state == JOB_CREATED
            if not (status["known"] and awaited):
                self._forget(handle)

    def unique_status_told(
        self,
        unique: str,
        known: str,
        running: str,
        numerator: str,
        denominator: str,
        clients: str,
        now: float,
    ) -> None:
        """STATUS_RES_UNIQUE: the answer to GET_STATUS_UNIQUE.

        Answers come in the order of the questions. So one that names another unique,
        as gearmand cuts them, is for the first question of all.
        """
        questions = self._unique_questions
        names = [name for name, _ in questions]
        if not names:
            return
        place = names.index(unique) if unique in names else 0
        _, asked = questions[place]
        del questions[place]
        status = _status(
            None, known == "1", running == "1", numerator, denominator, now
        )
        asked.update({**status, "unique": unique, "clients": _number(clients)})

    # Which requests a handle stands for.

    def _living(self) -> Iterable[GearmanJobRequest]:
        """Yield the accepted background requests that somebody still holds."""
        for reference in self._background:
            request = reference()
            if request is not None:
                yield request

    def _in_flight(self) -> Iterable[GearmanJobRequest]:
        for handle in self.by_handle:
            for request in self._requests_of(handle):
                if request.background or request.state == JOB_CREATED:
                    yield request

    def _register(self, request: GearmanJobRequest) -> None:
        handle = request.gearman_job.handle
        known = self.by_handle.setdefault(handle, request)
        if known is not request:
            joined = self._joined.setdefault(handle, deque([known]))
            if not any(other is request for other in joined):
                joined.append(request)

    def _forget(self, handle: str) -> None:
        self._joined.pop(handle, None)
        self.by_handle.pop(handle, None)

    def _requests_of(self, handle: str | None) -> tuple[GearmanJobRequest, ...]:
        """Return the requests for a handle; none if nobody waits for it any more."""
        joined = self._joined.get(handle)
        if joined:
            return tuple(joined)
        request = self.by_handle.get(handle)
        if request is None:
            gearman_logger.debug("nobody waits for %s any more", handle)
            return ()
        return (request,)

    def _next_of(self, handle: str) -> tuple[GearmanJobRequest, ...]:
        """Return the one request that this copy of an update is for, if any.

        Raises InvalidClientState if it is not JOB_CREATED.
        """
        requests = self._requests_of(handle)
        if len(requests) > 1:
            self._joined[handle].rotate(-1)
        for request in requests[:1]:
            check_state(request, JOB_CREATED)
        return requests[:1]

    def _end(self, handle: str) -> tuple[GearmanJobRequest, ...]:
        """Return the requests for a job that has ended, as failed, and forget them."""
        requests = self._requests_of(handle)
        for request in requests:
            if request.state != JOB_CREATED:
                check_state(request, JOB_CREATED)
            request.state = JOB_FAILED
        if requests:
            self._forget(handle)
        return requests


def _status(
    handle: str | None,
    known: bool,
    running: bool,
    numerator: str,
    denominator: str,
    now: float,
) -> JobStatus:
    return {
        "handle": handle,
        "known": known,
        "running": running,
        "numerator": _number(numerator),
        "denominator": _number(denominator),
        "time_received": now,
    }


def _number(text: str) -> int:
    """Read a number as gearmand does: what is no number is 0, a fraction is cut."""
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return 0


def is_unfinished(request: GearmanJobRequest) -> bool:
    """Whether the end of a request may still come, or its acceptance."""
    if request.complete or request.state == JOB_UNKNOWN:
        return False
    # The server refused it; in the background that does not count as complete.
    return request.state != JOB_FAILED
