"""Which request an answer of a server is for, and what the answer changes in it.

A server answers submissions in their order, with JOB_CREATED or ERROR. Later packets
have the handle of the job. If several requests have joined one job, the server sends
each packet about the job once for each of them.

    UNKNOWN -> PENDING -> (JOB_CREATED) -> CREATED -> (WORK_COMPLETE) -> COMPLETE
                  |                           |
               (ERROR)          (WORK_FAIL, WORK_EXCEPTION)
                  +-----------> FAILED <------+

When the connection is lost, a request that is PENDING or CREATED becomes UNKNOWN.
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
from .results import ResultAnswer, reported
from .server_options import ServerOptions
from .submission import check_state

gearman_logger = logging.getLogger(__name__)

# References to background requests are checked for dead ones from this number on.
_MANY = 1024


class OpenRequests:
    """The requests of one connection that still expect packets.

    `awaiting_handles` has the submitted requests that are not answered yet, in their
    order. `by_handle` has the requests that may get an update, a result or a status.
    Accepted background requests are kept by weak references only.
    """

    def __init__(self) -> None:
        self.awaiting_handles: deque[GearmanJobRequest] = deque()
        self.by_handle: dict[str | None, GearmanJobRequest] = {}
        # Accepted background requests: they become unknown if the connection is lost.
        self._background: list[ref[GearmanJobRequest]] = []
        self._enough = _MANY
        # Requests that have joined one job, by its handle.
        self._joined: dict[str | None, deque[GearmanJobRequest]] = {}
        # Unanswered GET_STATUS_UNIQUE, in their order; and unanswered GET_STATUS for
        # jobs without a request, by handle.
        self._unique_questions: deque[tuple[str, UniqueStatus]] = deque()
        self._handle_questions: dict[str, list[JobStatus]] = {}
        # Unanswered GET_RESULT, by handle.
        self._result_questions: dict[str, list[ResultAnswer]] = {}
        self.options = ServerOptions()
        # Requests with options, and their encoded workloads, until it is known whether
        # the server has the extensions.
        self._held: list[tuple[GearmanJobRequest, str | bytes]] = []

    @property
    def expects_answer(self) -> bool:
        """Whether the server has not answered a request that it can answer at once."""
        return bool(
            self.awaiting_handles
            or self._unique_questions
            or self._handle_questions
            or self._result_questions
            or self.options.awaited
        )

    # Packets to the server.

    def submitted(self, request: GearmanJobRequest) -> None:
        """Expect the handle of a request that was JOB_UNKNOWN."""
        request.state = JOB_PENDING
        self.awaiting_handles.append(request)

    def hold(self, request: GearmanJobRequest, data: str | bytes) -> None:
        """Keep a request and its workload until the extensions are known or not."""
        request.state = JOB_PENDING
        self._held.append((request, data))

    def release(self) -> list[tuple[GearmanJobRequest, str | bytes]]:
        """Return what was kept, to be submitted now; none if nothing is known yet."""
        if self.options.extensions is None:
            return []
        held, self._held = self._held, []
        for request, _ in held:
            request.state = JOB_UNKNOWN
        return held

    def asked_status(self, request: GearmanJobRequest) -> None:
        """Expect the status of a request that has a handle."""
        self._register(request)

    def asked_handle(self, handle: str, status: JobStatus) -> None:
        """Expect the status of a job without a request; `status` gets it."""
        self._handle_questions.setdefault(handle, []).append(status)

    def asked_unique(self, unique: str, status: UniqueStatus) -> None:
        """Expect the status of the job with a unique; `status` gets it."""
        self._unique_questions.append((unique, status))

    def asked_result(self, answer: ResultAnswer) -> None:
        """Expect the result of a job, or how the job stands; `answer` gets it."""
        self._result_questions.setdefault(answer.handle, []).append(answer)

    def watcher(self, handle: str) -> GearmanJobRequest | None:
        """Return a request that hears of the end of a job, if there is one."""
        request = self.by_handle.get(handle)
        heard = request is not None and not request.background
        return request if heard else None

    def watched(self, request: GearmanJobRequest) -> None:
        """Expect the end of a job as if this request had submitted it."""
        request.state = JOB_CREATED
        self._register(request)

    def unwatch(self, request: GearmanJobRequest) -> None:
        """Expect nothing more for a request that has watched a job."""
        handle = request.gearman_job.handle
        request.state = JOB_UNKNOWN
        joined = self._joined.get(handle)
        if joined is not None and request in joined:
            joined.remove(request)
        if self.by_handle.get(handle) is request:
            del self.by_handle[handle]
            if joined:
                self.by_handle[handle] = joined[0]

    def lost(self) -> None:
        """Make all open requests JOB_UNKNOWN, as the connection is lost."""
        for request, _ in self._held:
            request.state = JOB_UNKNOWN
        for request in self.awaiting_handles:
            request.state = JOB_UNKNOWN
        for request in [*self._living(), *self._in_flight()]:
            request.state = JOB_UNKNOWN

    # Packets from the server.

    def created(self, handle: str) -> None:
        """JOB_CREATED: the oldest unanswered submission was accepted.

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
        """ERROR: the oldest unanswered submission was refused, and gets no handle.

        Returns whether the error should be reported. It should not if the server only
        does not know an option, or no longer knows a job that is to be watched.
        """
        if code.upper() == "UNKNOWN_OPTION":
            name = self.options.refused()
            gearman_logger.debug("the server does not have the option %s", name)
            return False
        if code == "JOB_NOT_FOUND" and self._result_questions:
            # The question for the result, which follows, is answered accordingly.
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
        """WORK_STATUS: how far a job is; `now` is in seconds since the epoch."""
        for request in self._next_of(handle):
            request.status = _status(handle, True, True, numerator, denominator, now)

    def completed(
        self, handle: str, data: Payload, decode: Callable[[Payload], object]
    ) -> None:
        """WORK_COMPLETE: a job has ended with a result.

        A request fails if its result cannot be decoded, as no other packet will come
        for it. The error of `decode` is raised after all requests of the job have
        ended.
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
            request.exception = reported(data, decode)

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

    def result_told(self, handle: str, state: str, data: Payload) -> None:
        """RESULT_RES: the answer to GET_RESULT."""
        for answer in self._result_questions.pop(handle, ()):
            answer.state = state
            answer.data = data

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

        Answers come in the order of the questions. gearmand may cut the unique. So an
        answer with an unknown unique is for the oldest question.
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

    # The requests of a handle.

    def _living(self) -> Iterable[GearmanJobRequest]:
        """Yield the accepted background requests that the program still refers to."""
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
        """Return the requests of a handle; none if no request waits for it any more."""
        joined = self._joined.get(handle)
        if joined:
            return tuple(joined)
        request = self.by_handle.get(handle)
        if request is None:
            gearman_logger.debug("nobody waits for %s any more", handle)
            return ()
        return (request,)

    def _next_of(self, handle: str) -> tuple[GearmanJobRequest, ...]:
        """Return the request that this copy of an update is for, if there is one.

        Raises InvalidClientState if the request is not JOB_CREATED.
        """
        requests = self._requests_of(handle)
        if len(requests) > 1:
            self._joined[handle].rotate(-1)
        for request in requests[:1]:
            check_state(request, JOB_CREATED)
        return requests[:1]

    def _end(self, handle: str) -> tuple[GearmanJobRequest, ...]:
        """Forget and return the requests of a job that has ended, now JOB_FAILED."""
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
    """Read a number as gearmand does: other text is 0, fractions are cut off."""
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return 0


def is_unfinished(request: GearmanJobRequest) -> bool:
    """Whether a request may still be accepted, or end."""
    if request.complete or request.state == JOB_UNKNOWN:
        return False
    # A background request that the server has refused does not count as complete.
    return request.state != JOB_FAILED
