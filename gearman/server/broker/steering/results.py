"""Results of background jobs, kept for those who ask for them later."""

from collections import deque
from collections.abc import Set as AbstractSet
from heapq import heapify, heappop, heappush
from math import inf

from ...cluster.home import SHARD_BITS
from ..constants import (
    DONE,
    EXACTNESS,
    EXCEPTION,
    FAILURE,
    RESULT_RES,
    RUNS,
    SWEEP,
    UNKNOWN,
    WAITS,
    WORK_COMPLETE,
    WORK_EXCEPTION,
    WORK_FAIL,
)
from ..jobs import Jobs
from ..making import number_of
from ..memory import Memory
from ..model import Job, Peer, Record
from ..places import Places
from ..states import PENDING, RUNNING
from .dead import DeadJobs
from .records import RESULT, Fields, join
from .values import keep_of

# Bytes of all kept results, by default.
MAX_RESULTS = 64 * 1024 * 1024

# Measured bytes that a kept result takes besides its data, and that the results of one
# time take together.
RESULT_MEMORY = 500
ENDS_MEMORY = 170

# At most so many results are dropped in one turn, and are in a group.
MANY_RESULTS = 1000
GROUP_SIZE = 1000


class Result:
    """How a background job has ended, and its result or exception.

    It `expires` at a time in seconds since the epoch. Before it is `durable`, nobody is
    told of it.
    """

    __slots__ = (
        "data", "durable", "expires", "handle", "name", "number", "state", "stored",
    )  # fmt: skip

    number: int
    handle: bytes
    name: bytes
    state: bytes
    data: bytes
    expires: float
    stored: bool
    durable: bool


def make_result(
    number: int,
    handle: bytes,
    name: bytes,
    state: bytes,
    data: bytes,
    expires: float,
    stored: bool,
) -> Result:
    """Return a result, which is not durable yet if it is to be stored."""
    # A constructor with so many arguments would be slow in the compiled build.
    result = Result.__new__(Result)
    result.number = number
    result.handle = handle
    result.name = name
    result.state = state
    result.data = data
    result.expires = expires
    result.stored = stored
    result.durable = not stored
    return result


class Results:
    """The kept results, the oldest first; if they take over `most` bytes, it goes.

    `first` is when to call `drop_old`, in seconds since the epoch.

    Results that came one after the other and expire at the same time are a group, of
    GROUP_SIZE at most. So little is done for each of them.
    """

    def __init__(
        self, places: Places, jobs: Jobs, dead: DeadJobs, memory: Memory
    ) -> None:
        self.most = MAX_RESULTS
        self.first = inf
        self.known: dict[int, Result] = {}
        self.total = 0
        self._places = places
        self._jobs = jobs
        self._dead = dead
        self._memory = memory
        # The groups, the oldest first, and how many results of the first one were
        # `passed`: they are None. Then a heap of their times, a number, and they
        # themselves. A group that is over is empty, and may stay in one of the two
        # for a while; `running` are not over.
        self._groups: deque[list[Result | None]] = deque()
        self._passed = 0
        self._ends: list[tuple[float, int, list[Result | None]]] = []
        self._running = 0
        # The latest group, and its time.
        self._latest: list[Result | None] = []
        self._when = 0.0

    def keep(self, job: Job, state: bytes, data: bytes) -> None:
        """Keep the end of a job that was just retired, if that is wanted."""
        seconds = keep_of(job) if job.background else 0.0
        if seconds > 0:
            expires = self._places.wall + seconds
            if self._latest and 0 <= expires - self._when <= seconds / EXACTNESS:
                # Results of about the same time are dropped together.
                expires = self._when
            name = job.function.name
            handle, stored = job.handle, job.stored
            result = make_result(job.number, handle, name, state, data, expires, stored)
            if self.add(result) and stored:
                self.store(result)

    def add(self, result: Result) -> bool:
        """Add a result; return False if it is too large."""
        size = _size(result)
        if size > self.most:
            return False
        self._places.steered = True
        self.known[result.number] = result
        self.total += size
        self._memory.jobs += size
        group = self._latest
        if not group or result.expires != self._when or len(group) == GROUP_SIZE:
            group = self._add_group(result)
        group.append(result)
        if self.total > self.most:
            self.keep_at_most(self.most)
        return True

    def _add_group(self, result: Result) -> list[Result | None]:
        """Begin a group with the time of a result, which is its first one."""
        if len(self._groups) + len(self._ends) > 4 * self._running + SWEEP:
            self._sweep()
        group: list[Result | None] = []
        self._latest = group
        self._when = result.expires
        self._running += 1
        self._groups.append(group)
        heappush(self._ends, (self._when, result.number, group))
        self._memory.peers += ENDS_MEMORY
        self.first = self._ends[0][0]
        return group

    def _sweep(self) -> None:
        """Drop the groups that are over."""
        self._groups = deque([group for group in self._groups if group])
        ends = [end for end in self._ends if end[2]]
        self._memory.peers -= ENDS_MEMORY * (len(self._ends) - len(ends))
        heapify(ends)
        self._ends = ends

    def keep_at_most(self, most: int) -> None:
        """Set the limit in bytes, and drop the oldest results that are over it.

        If these are many, later turns drop the rest.
        """
        self.most = most
        self._drop_some()

    def _drop_some(self) -> None:
        """Drop the oldest results that are over the limit, as many as a turn may."""
        for _ in range(MANY_RESULTS):
            if self.total <= self.most:
                return
            group = self._groups[0]
            if self._passed < len(group):
                result, group[self._passed] = group[self._passed], None
                self._passed += 1
                assert result is not None  # noqa: S101
                self._forget(result)
            if self._passed >= len(group):
                if group:
                    group.clear()
                    self._running -= 1
                self._groups.popleft()
                self._passed = 0
        if self.total > self.most:
            self.first = self._places.wall

    def store(self, result: Result) -> None:
        """Have the store keep a result."""
        fields: Fields = {b"kind": RESULT, b"state": result.state}
        fields[b"expires"] = b"%.6f" % result.expires
        extra, number = join(fields), result.number
        record = Record(number, extra, result.handle, result.name, result.data)
        self._jobs.records.append(record)

    def _forget(self, result: Result) -> None:
        """Drop a result; its group must not have it any more."""
        size = _size(result)
        del self.known[result.number]
        self.total -= size
        self._memory.jobs -= size
        if result.stored:
            self._jobs.records.append(Record(result.number, b""))

    def leave(self, shards: AbstractSet[int]) -> None:
        """Forget the results of these shards, which another server has now."""
        for group in self._groups:
            results = [each for each in group if each is not None]
            group.clear()
            for result in results:
                if result.number & SHARD_BITS in shards:
                    result.stored = False
                    self._forget(result)
                else:
                    group.append(result)
            self._running -= bool(results) and not group
        self._passed = 0

    def drop_old(self, now: float) -> None:
        """Drop the results whose time is over, or that are over the limit."""
        for _ in range(MANY_RESULTS):
            if not self._ends or self._ends[0][0] > now:
                break
            group = self._ends[0][2]
            if group is self._latest:
                self._latest = []
            if group:
                result = group.pop()
                if result is not None:
                    self._forget(result)
                self._running -= not group
            else:
                heappop(self._ends)
                self._memory.peers -= ENDS_MEMORY
        self.first = self._ends[0][0] if self._ends else inf
        self._drop_some()

    def find(self, handle: bytes) -> Result | None:
        """Return the kept result of the job with this handle."""
        result = self.known.get(number_of(handle))
        return result if result is not None and result.handle == handle else None

    # -- verbs of clients

    def of(self, handle: bytes) -> tuple[bytes, bytes]:
        """Return the state of a job, and its result or exception or the reason."""
        job = self._jobs.find(handle)
        if job is not None:
            return (RUNS if job.state == RUNNING else WAITS), b""
        result = self.find(handle)
        if result is not None:
            return (result.state, result.data) if result.durable else (RUNS, b"")
        dead = self._dead.find(handle)
        if dead is None or dead.extra is None:
            return UNKNOWN, b""
        if dead.extra.error is not None:
            return EXCEPTION, dead.extra.error
        return FAILURE, dead.extra.reason

    def get(self, peer: Peer, handle: bytes) -> None:
        """Tell a client how a job stands, or has ended."""
        if self._places.links is not None:
            return self._places.links.lookup.result(peer, handle)
        state, data = self.of(handle)
        return peer.send(RESULT_RES, (handle, state, data))

    def watch(self, peer: Peer, handle: bytes) -> None:
        """Tell a client the end of a job as if it had submitted it.

        Like those who submitted it, the client hears of the end before that is durable.
        But a job that is not stored yet may be refused, so it is not known yet.
        """
        job = self._jobs.find(handle)
        if job is not None and job.state != PENDING:
            return self._jobs.join(job, peer)
        links = self._places.links
        if links is not None and job is None and self.of(handle)[0] == UNKNOWN:
            return links.lookup.watch(peer, handle)
        state, data = self.of(handle)
        result = self.find(handle)
        if result is not None:
            state, data = result.state, result.data
        if state == DONE:
            return peer.send(WORK_COMPLETE, (handle, data))
        if state == EXCEPTION and peer.exceptions:
            return peer.send(WORK_EXCEPTION, (handle, data))
        if state in (EXCEPTION, FAILURE):
            return peer.send(WORK_FAIL, (handle,))
        return peer.refuse(b"JOB_NOT_FOUND", b"There is no such job, nor its result")


def _size(result: Result) -> int:
    """Return how many bytes of memory a result takes."""
    return RESULT_MEMORY + len(result.data) + len(result.name)
