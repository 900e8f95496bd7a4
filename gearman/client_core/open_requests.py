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

from ..constants import (
    JOB_COMPLETE,
    JOB_CREATED,
    JOB_FAILED,
    JOB_PENDING,
    JOB_UNKNOWN,
)
from ..errors import InvalidClientState
from ..job import GearmanJobRequest, JobStatus, Session, UniqueStatus
from ..payload import Payload
from .results import ResultAnswer, reported
from .server_options import ServerOptions
from .submission import check_state

gearman_logger = logging.getLogger(__name__)

Requests = tuple[GearmanJobRequest, ...]

# They are called with the answers to questions for the status of jobs.
Tell = Callable[[JobStatus], object]
TellUnique = Callable[[UniqueStatus], object]


class OpenRequests:
    """The requests of one connection that still expect packets.

    `awaiting_handles` has the submitted requests that are not answered yet, in their
    order. `by_handle` has the requests that may get an update, a result or a status.
    Accepted background requests are not kept: they look at the session.
    """

    def __init__(self) -> None:
        self.awaiting_handles: deque[GearmanJobRequest] = deque()
        self.by_handle: dict[str | None, GearmanJobRequest] = {}
        self._session = Session()
        # Requests that have joined one job, by its handle.
        self._joined: dict[str | None, deque[GearmanJobRequest]] = {}
        # Unanswered GET_STATUS_UNIQUE, in their order; and unanswered GET_STATUS for
        # jobs without a request, by handle.
        self._unique_questions: deque[tuple[str, TellUnique]] = deque()
        self._handle_questions: dict[str, list[Tell]] = {}
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
        request.last_state = JOB_PENDING
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

    def asked_handle(self, handle: str, tell: Tell) -> None:
        """Expect the status of a job without a request; `tell` is called with it."""
        self._handle_questions.setdefault(handle, []).append(tell)

    def asked_unique(self, unique: str, tell: TellUnique) -> None:
        """Expect the status of the job with a unique; `tell` is called with it."""
        self._unique_questions.append((unique, tell))

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

    def lost(self) -> list[GearmanJobRequest]:
        """The connection is lost: make all open requests JOB_UNKNOWN.

        Returns those that still expected something: not accepted background requests.
        """
        self._session.is_over = True
        requests = [request for request, _ in self._held]
        requests += [*self.awaiting_handles, *self._in_flight()]
        for request in requests:
            request.state = JOB_UNKNOWN
        return requests

    # Packets from the server. The methods return the requests that these are for.

    def created(self, handle: str) -> GearmanJobRequest:
        """JOB_CREATED: the oldest unanswered submission was accepted.

        Raises InvalidClientState if there is none.
        """
        (request,) = self.all_created((handle,))
        return request

    def all_created(self, handles: Iterable[str]) -> list[GearmanJobRequest]:
        """JOB_CREATED, with each of these handles in turn.

        Raises InvalidClientState if there are more handles than submissions; `handles`
        is read no further then.
        """
        awaiting = self.awaiting_handles
        requests = []
        for handle in handles:
            if not awaiting:
                text = "Received a job_handle with no pending requests"
                raise InvalidClientState(text)
            request = awaiting.popleft()
            if request.last_state != JOB_PENDING:
                check_state(request, JOB_PENDING)
            request.gearman_job.handle = handle
            request.last_state = JOB_CREATED
            if request.background:
                request.session = self._session
            else:
                self._register(request)
            requests.append(request)
        return requests

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
    ) -> Requests:
        """WORK_DATA: a part of the result."""
        requests = self._next_of(handle)
        for request in requests:
            request.data_updates.append(decode(data))
        return requests

    def warned(
        self, handle: str, data: Payload, decode: Callable[[Payload], object]
    ) -> Requests:
        """WORK_WARNING: a warning."""
        requests = self._next_of(handle)
        for request in requests:
            request.warning_updates.append(decode(data))
        return requests

    def progressed(
        self, handle: str, numerator: str, denominator: str, now: float
    ) -> Requests:
        """WORK_STATUS: how far a job is; `now` is in seconds since the epoch."""
        requests = self._next_of(handle)
        for request in requests:
            request.status = _status(handle, True, True, numerator, denominator, now)
        return requests

    def completed(
        self, handle: str, data: Payload, decode: Callable[[Payload], object]
    ) -> Requests:
        """WORK_COMPLETE: a job has ended with a result.

        A request fails if its result cannot be decoded, as no other packet will come
        for it. The error of `decode` is raised after all requests of the job have
        ended.
        """
        problem: Exception | None = None
        requests = self._end(handle)
        for request in requests:
            try:
                request.result = decode(data)
            except Exception as error:
                problem = error
                request.exception = f"{type(error).__name__}: {error}"
            else:
                request.state = JOB_COMPLETE
        if problem is not None:
            raise problem
        return requests

    def failed(self, handle: str) -> Requests:
        """WORK_FAIL: a job has ended without a result."""
        return self._end(handle)

    def raised(
        self, handle: str, data: Payload, decode: Callable[[Payload], object]
    ) -> Requests:
        """WORK_EXCEPTION: a job has ended with an exception; no WORK_FAIL follows."""
        requests = self._end(handle)
        for request in requests:
            request.exception = reported(data, decode)
        return requests

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
        for tell in self._handle_questions.pop(handle, ()):
            tell(status)
        for request in self._requests_of(handle):
            request.status = status.copy()
            awaited = not request.background and request.state == JOB_CREATED
            if not (status["known"] and awaited):
                self._forget(handle)

    def result_told(self, handle: str, state: str, data: Payload) -> None:
        """RESULT_RES: the answer to GET_RESULT."""
        for answer in self._result_questions.pop(handle, ()):
            answer.told(state, data)

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
        _, tell = questions[place]
        del questions[place]
        status = _status(
            None, known == "1", running == "1", numerator, denominator, now
        )
        tell({**status, "unique": unique, "clients": _number(clients)})

    # The requests of a handle.

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

    def _requests_of(self, handle: str | None) -> Requests:
        """Return the requests of a handle; none if no request waits for it any more."""
        joined = self._joined.get(handle)
        if joined:
            return tuple(joined)
        request = self.by_handle.get(handle)
        if request is None:
            gearman_logger.debug("nobody waits for %s any more", handle)
            return ()
        return (request,)

    def _next_of(self, handle: str) -> Requests:
        """Return the request that this copy of an update is for, if there is one.

        Raises InvalidClientState if the request is not JOB_CREATED.
        """
        requests = self._requests_of(handle)
        if len(requests) > 1:
            self._joined[handle].rotate(-1)
        for request in requests[:1]:
            check_state(request, JOB_CREATED)
        return requests[:1]

    def _end(self, handle: str) -> Requests:
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


def incomplete(requests: Iterable[GearmanJobRequest]) -> list[GearmanJobRequest]:
    """Return the requests that are not complete; the others have not timed out."""
    found = []
    for request in requests:
        if request.complete:
            request.timed_out = False
        else:
            found.append(request)
    return found


def is_unfinished(request: GearmanJobRequest) -> bool:
    """Whether a request may still be accepted, or end."""
    if request.complete or request.state == JOB_UNKNOWN:
        return False
    # A background request that the server has refused does not count as complete.
    return request.state != JOB_FAILED
