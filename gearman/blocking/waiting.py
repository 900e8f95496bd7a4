"""What a client waits for, looked at only where something can have changed.

A client may wait for 50,000 requests and be called back after each event; looking
at all of them each time would be quadratic. Requests of one connection are accepted
in the order of their submission, so the first one tells; and a request that has
ended does not begin again, so a wait for all of them needs to look at one that has
not.
"""

from collections import deque
from collections.abc import Callable, Iterable

from ..constants import JOB_CREATED, JOB_PENDING, JOB_UNKNOWN
from ..job import Connection, GearmanJobRequest

# How many requests, and bytes, may be on their way without having been accepted.
MAX_UNACCEPTED = 2048
MAX_UNSENT_BYTES = 1 << 20


class Acceptance:
    """Submits requests, some at a time, and again where their connection was lost.

    `submit` is called for each; it raises when a request may not be submitted any
    more.
    """

    def __init__(
        self,
        requests: Iterable[GearmanJobRequest],
        submit: Callable[[GearmanJobRequest], object],
    ) -> None:
        self._submit = submit
        self._waiting: deque[GearmanJobRequest] = deque()
        # By connection, in the order of submission.
        self._pending: dict[Connection | None, deque[GearmanJobRequest]] = {}
        self._count = 0
        for request in requests:
            if request.state == JOB_UNKNOWN:
                self._waiting.append(request)
            else:
                self._expect(request)

    def __call__(self, any_activity: bool) -> bool:
        """Submit what may be, and return whether an acceptance is outstanding."""
        self._settle()
        while self._waiting and self._count < MAX_UNACCEPTED:
            # Now and then is often enough.
            if self._count % 16 == 15 and self._unsent_bytes() > MAX_UNSENT_BYTES:
                break
            self._submit_next()
        return self._count > 0

    def submit_rest(self) -> None:
        """Submit what has not been yet."""
        while self._waiting:
            self._submit_next()

    def _unsent_bytes(self) -> int:
        return sum(getattr(c, "unsent_bytes", 0) for c in self._pending)

    def _submit_next(self) -> None:
        request = self._waiting.popleft()
        if request.state == JOB_UNKNOWN:
            self._submit(request)
        self._expect(request)

    def _expect(self, request: GearmanJobRequest) -> None:
        if request.state == JOB_PENDING:
            connection = request.job.connection
            queue = self._pending.get(connection)
            if queue is None:
                queue = self._pending[connection] = deque()
            queue.append(request)
            self._count += 1

    def _settle(self) -> None:
        for queue in self._pending.values():
            while queue and queue[0].state != JOB_PENDING:
                request = queue.popleft()
                self._count -= 1
                if request.state == JOB_UNKNOWN:
                    self._waiting.append(request)


class One:
    """Does for one request what Acceptance does, and waits for its end if told so.

    Once it was `accepted` it may have been run, and is not submitted again.
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
        """Whether what was waited for has not come."""
        if self._until_complete:
            return not self._request.complete
        return self._request.state == JOB_PENDING

    def __call__(self, any_activity: bool) -> bool:
        """Submit it if it is not, and return whether there is more to wait for."""
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
    """Whether some request is still outstanding, looking at one after the other."""

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
    """Raise AssertionError for what is no collection that a wait may go over twice."""
    assert type(items) in (list, tuple, set), "Expected several jobs, received one?"
