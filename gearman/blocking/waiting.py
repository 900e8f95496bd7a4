"""Callbacks that tell whether a client must still wait for requests.

A client may wait for 50,000 requests, and the callback is called after each event. To
look at all requests each time would take quadratic time. It is not necessary. Requests
of one connection are accepted in the order of their submission, so it is enough to look
at the first one. A request that has ended does not begin again, so a wait for the end
of all needs to look at one only, until it has ended.
"""

from collections import deque
from collections.abc import Callable, Iterable

from ..constants import JOB_CREATED, JOB_PENDING, JOB_UNKNOWN
from ..job import Connection, GearmanJobRequest

# Submits the first of these requests, and perhaps the next ones on its connection: not
# more than so many, and none after so many bytes. Takes them out, and returns them.
# Raises an error if a request may not be submitted again.
Submit = Callable[[deque[GearmanJobRequest], int, int], list[GearmanJobRequest]]

# How many requests may be submitted and not accepted yet, and how many bytes unsent.
MAX_UNACCEPTED = 2048
MAX_UNSENT_BYTES = 1 << 20


def one_by_one(submit: Callable[[GearmanJobRequest], object]) -> Submit:
    """Return a function that submits one request in each call."""

    def submit_first(
        waiting: deque[GearmanJobRequest], most: int, most_bytes: int
    ) -> list[GearmanJobRequest]:
        request = waiting.popleft()
        submit(request)
        return [request]

    return submit_first


class Acceptance:
    """Submits requests, some at a time, and again if their connection is lost."""

    def __init__(
        self,
        requests: Iterable[GearmanJobRequest],
        submit: Submit,
    ) -> None:
        self._submit = submit
        self._waiting: deque[GearmanJobRequest] = deque()
        # By connection, in the order of submission.
        self._pending: dict[Connection | None, deque[GearmanJobRequest]] = {}
        self._count = 0
        for request in requests:
            # Most are new: the second question takes longer.
            if request.last_state == JOB_UNKNOWN or request.state == JOB_UNKNOWN:
                self._waiting.append(request)
            else:
                self._expect([request])

    def __call__(self, any_activity: bool) -> bool:
        """Submit as many requests as allowed; return whether to wait for answers."""
        self._settle()
        while self._waiting and self._count < MAX_UNACCEPTED:
            most_bytes = MAX_UNSENT_BYTES - self._unsent_bytes()
            if most_bytes < 0:
                break
            self._submit_next(MAX_UNACCEPTED - self._count, most_bytes)
        return self._count > 0

    def submit_rest(self) -> None:
        """Submit all requests that are not submitted yet."""
        while self._waiting:
            self._submit_next(MAX_UNACCEPTED, MAX_UNSENT_BYTES)

    def _unsent_bytes(self) -> int:
        return sum(getattr(c, "unsent_bytes", 0) for c in self._pending)

    def _submit_next(self, most: int, most_bytes: int) -> None:
        if self._waiting[0].state == JOB_UNKNOWN:
            self._expect(self._submit(self._waiting, most, most_bytes))
        else:
            self._expect([self._waiting.popleft()])

    def _expect(self, requests: list[GearmanJobRequest]) -> None:
        """Wait for requests of one connection, if they are not answered yet."""
        pending = [each for each in requests if each.last_state == JOB_PENDING]
        if pending:
            connection = pending[0].job.connection
            queue = self._pending.get(connection)
            if queue is None:
                queue = self._pending[connection] = deque()
            queue += pending
            self._count += len(pending)

    def _settle(self) -> None:
        for queue in self._pending.values():
            while queue and queue[0].last_state != JOB_PENDING:
                request = queue.popleft()
                self._count -= 1
                if request.last_state == JOB_UNKNOWN:
                    self._waiting.append(request)


class One:
    """Waits for the acceptance of one request, and for its end if `until_complete`.

    It submits the request as Acceptance does. After the request was accepted, a worker
    may have run the job, so the request is not submitted again.
    """

    def __init__(
        self,
        request: GearmanJobRequest,
        submit: Callable[[GearmanJobRequest], object],
        until_complete: bool,
        accepted: bool,
    ) -> None:
        self._request = request
        self._submit = submit
        self._until_complete = until_complete
        self._accepted = accepted

    @property
    def has_timed_out(self) -> bool:
        """Whether the request is not in the state that was waited for."""
        if self._until_complete:
            return not self._request.complete
        return self._request.state == JOB_PENDING

    def __call__(self, any_activity: bool) -> bool:
        """Submit the request if necessary; return whether to wait longer."""
        request = self._request
        if self._accepted:
            return request.state == JOB_CREATED
        if request.state == JOB_UNKNOWN:
            self._submit(request)
        if request.state == JOB_PENDING:
            return True
        self._accepted = True
        return self._until_complete and request.state == JOB_CREATED


class All:
    """Waits until no request is `outstanding`; looks at one request at a time."""

    def __init__(
        self,
        requests: Iterable[GearmanJobRequest],
        outstanding: Callable[[GearmanJobRequest], bool],
    ) -> None:
        self._requests = list(requests)
        self._outstanding = outstanding

    def __call__(self, any_activity: bool) -> bool:
        while self._requests:
            if self._outstanding(self._requests[-1]):
                return True
            self._requests.pop()
        return False


def assert_several(items: object) -> None:
    """Raise AssertionError unless this is a list, a tuple or a set, as 2.0.2 does."""
    assert type(items) in (list, tuple, set), "Expected several jobs, received one?"
