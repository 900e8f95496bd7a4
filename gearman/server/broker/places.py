"""Where each job is, and how it moves.

When a job leaves a queue or a timer early, its entry there stays as a dead entry. Dead
entries are skipped when they come first, and are all removed (swept) before they are
more than the live ones. So an operation costs no more than the entries it is about.
"""

from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Protocol

from .assignment.choice import Choice
from .assignment.sleepers import Sleepers
from .constants import EXACTNESS, SWEEP
from .memory import RUN_MEMORY, TIMER_MEMORY, TIMERS_MEMORY, Memory
from .model import Function, Job, Peer, Queue
from .states import (
    ASSIGNED,
    AWAITING,
    AWAY,
    DUE,
    GONE,
    NEW,
    PENDING,
    QUEUED,
    RUNNING,
    SCHEDULED,
)
from .steering.expiry import Expiry
from .steering.starts import Starts
from .steering.values import shorter, timeout_of, value

if TYPE_CHECKING:
    from .links.interface import Links

# At most so many jobs become due in one turn, as a million may have the same second. So
# many groups of a large heap are swept at a time, and so many are skipped that have no
# timers any more.
MANY_DUE = 1000
MANY_SWEPT = 8
MANY_SKIPPED = 1000

# A group has at most so many timers: two to the power of these bits.
GROUP_BITS = 10
GROUP_SIZE = 1 << GROUP_BITS


class TimerGroup:
    """Timers that are due at the same time.

    Their `jobs` are None if they were stopped; `count` are running, and `passed`, the
    first ones, are over. `number` is that of the group, 0 if none will run any more.
    """

    __slots__ = ("count", "jobs", "number", "passed")

    def __init__(self, number: int) -> None:
        self.number = number
        self.jobs: list[Job | None] = []
        self.count = 0
        self.passed = 0


class Timers:
    """Jobs by the time at which they are due; a job has one timer at most.

    `first` is when to call `due` next. There may be no job that is due then.

    The number of a timer is that of its group and its place there. To start and to stop
    one takes no search: that is done for each job with a timeout.
    """

    __slots__ = (
        "_entries", "_free", "_group", "_groups", "_last", "_memory", "_old", "_when",
        "first",
    )  # fmt: skip

    def __init__(self, memory: Memory) -> None:
        # A heap of times, numbers that decide if these are equal, and groups.
        self._entries: list[tuple[float, int, TimerGroup]] = []
        # A heap that is being swept, some entries at a time, as it may be large.
        self._old: list[tuple[float, int, TimerGroup]] = []
        # Groups that may have running timers, by number, and numbers that are free.
        self._groups: list[TimerGroup | None] = [None]
        self._free: list[int] = []
        # The latest group, if it gets more timers, and its time.
        self._group: TimerGroup | None = None
        self._when = 0.0
        self._last = 0
        self._memory = memory
        self.first = inf

    def start(self, job: Job, when: float, slack: float = 0.0) -> None:
        """Let a job be due at a time, or up to `slack` seconds earlier, with others."""
        group = self._group
        if (
            group is None
            or not 0.0 <= when - self._when <= slack
            or len(group.jobs) == GROUP_SIZE
        ):
            group = self._add_group(when)
        job.timer = (group.number << GROUP_BITS) + len(group.jobs)
        group.jobs.append(job)
        group.count += 1
        self._memory.peers += TIMER_MEMORY
        if self._old:
            self._sweep()

    def stop(self, job: Job) -> None:
        timer = job.timer
        job.timer = 0
        group = self._groups[timer >> GROUP_BITS]
        assert group is not None  # noqa: S101
        group.jobs[timer & GROUP_SIZE - 1] = None
        group.count -= 1
        if not group.count and group is not self._group:
            self._finish(group)
        if self._old:
            self._sweep()

    def due(self, now: float) -> list[Job]:
        """Remove and return the jobs that are due, the earliest first.

        If there are more than MANY_DUE, the rest is left to the next call.
        """
        jobs: list[Job] = []
        self._leave_group()
        self._set_first()
        skipped = 0
        while self.first <= now and len(jobs) < MANY_DUE and skipped < MANY_SKIPPED:
            heap = self._heap()
            group = heap[0][2]
            if self._take(group, jobs):
                heappop(heap)
                self._memory.peers -= TIMERS_MEMORY
                if group.number:
                    self._finish(group)
                skipped += 1
            self._set_first()
        return jobs

    def _take(self, group: TimerGroup, jobs: list[Job]) -> bool:
        """Move jobs of a group to a list, up to MANY_DUE; return whether it is over."""
        while group.passed < len(group.jobs):
            if len(jobs) == MANY_DUE:
                return False
            job = group.jobs[group.passed]
            if job is not None:
                group.jobs[group.passed] = None
                group.count -= 1
                job.timer = 0
                jobs.append(job)
            group.passed += 1
        return True

    def _add_group(self, when: float) -> TimerGroup:
        """Begin a group, which gets the next timers of its time."""
        self._leave_group()
        number = self._free.pop() if self._free else len(self._groups)
        group = TimerGroup(number)
        if number == len(self._groups):
            self._groups.append(group)
        else:
            self._groups[number] = group
        self._group, self._when = group, when
        self._last += 1
        heappush(self._entries, (when, self._last, group))
        self._memory.peers += TIMERS_MEMORY
        if when < self.first:
            self.first = when
        return group

    def _leave_group(self) -> None:
        """Add no more timers to the latest group."""
        group, self._group = self._group, None
        if group is not None and not group.count:
            self._finish(group)

    def _finish(self, group: TimerGroup) -> None:
        """Forget a group without running timers. Its entry in a heap may stay."""
        self._memory.peers -= TIMER_MEMORY * len(group.jobs)
        group.jobs = []
        self._groups[group.number] = None
        self._free.append(group.number)
        group.number = 0
        running = len(self._groups) - 1 - len(self._free)
        if not running:
            # All numbers are free, and there may have been many.
            self._groups, self._free = [None], []
        if not self._old and len(self._entries) > 2 * running + SWEEP:
            self._entries, self._old = [], self._entries

    def _heap(self) -> list[tuple[float, int, TimerGroup]]:
        """Return the heap that has the first entry."""
        if self._old and (not self._entries or self._old[0] < self._entries[0]):
            return self._old
        return self._entries

    def _sweep(self) -> None:
        """Move some entries from the old heap to the new one, or drop them."""
        # Without its last entries, a heap is still a heap.
        for _ in range(min(MANY_SWEPT, len(self._old))):
            entry = self._old.pop()
            group = entry[2]
            if group.number:
                heappush(self._entries, entry)
            else:
                self._memory.peers -= TIMERS_MEMORY
        if not self._old:
            self._set_first()

    def _set_first(self) -> None:
        self.first = self._entries[0][0] if self._entries else inf
        if self._old:
            self.first = min(self.first, self._old[0][0])


class Watch(Protocol):
    """Is told what happens. It must be quick, must not raise, and changes nothing."""

    def moved(self, job: Job, event: int, to: int) -> None:
        """Note a move of a job, which is still at its old place, with its worker."""

    def worker(self, peer: Peer, *, came: bool) -> None:
        """Note that a worker has registered its first function, or has none left."""

    def paused(self, function: Function, *, on: bool) -> None:
        """Note that a policy pauses a function, or no longer does."""

    def outage(self, reason: bytes) -> None:
        """Note that nothing can be stored for a reason; b"" is the end of that."""

    def left(self, peer: Peer) -> None:
        """Forget a peer that has disconnected."""


class Places:
    """Moves jobs from place to place.

    Both are in seconds: `now` of the monotonic clock, for the `deadlines` of running
    jobs; `wall` since the epoch, for the `scheduled` jobs, and for the `lives` of
    queued jobs and `expiry`, which have what remains of their time to live. `starts`
    holds functions back. These three are in use once anything is `steered`: by an
    option, a policy, a kept result or a schedule. `watch` is told what happens; it is
    None if nobody wants to know. Of moves it is told those by the events whose bits are
    set in `watched`. `links` are those of a server in a cluster.
    """

    def __init__(self, choice: Choice, sleepers: Sleepers, memory: Memory) -> None:
        self.now = 0.0
        self.wall = 0.0
        self.scheduled = Timers(memory)
        self.deadlines = Timers(memory)
        self.lives = Timers(memory)
        self.expiry = Expiry(memory)
        self.starts = Starts(choice, sleepers)
        self.steered = False
        self.watch: Watch | None = None
        self.watched = 0
        self.links: Links | None = None
        self._choice = choice
        self._sleepers = sleepers
        self._memory = memory

    def move(self, job: Job, event: int, to: int) -> None:
        """Move a job from its place to another one; MOVES has the allowed moves.

        Before a job moves to RUNNING, its `worker` must be set, and it must be removed
        from its queue.
        """
        function = job.function
        place = job.state
        if self.watched and self.watched >> event & 1:
            assert self.watch is not None  # noqa: S101
            self.watch.moved(job, event, to)
        job.state = to
        if place == NEW:
            pass
        elif place == QUEUED:
            if event != ASSIGNED:
                queue = function.queues[job.priority]
                queue.discard(job)
            if job.timer:
                self.lives.stop(job)
        elif place == RUNNING:
            self._stop(job)
        elif place in (PENDING, AWAY):
            function.pending -= 1
        elif place == SCHEDULED:
            function.scheduled[job.priority] -= 1
            if job.timer:
                self.scheduled.stop(job)
        elif place == AWAITING:
            function.awaiting[job.priority] -= 1
        if to == QUEUED:
            queue = function.queues[job.priority]
            queue.push(job)
            job.since = self.now
            if not queue.listed:
                self._choice.add(function, job.priority)
            if function.policy is not None or job.extra is not None:
                self._limit_life(job, function)
            if function.borrowers is not None and not function.held:
                assert self.links is not None  # noqa: S101
                self.links.queued(function, bool(function.sleepers))
            if function.sleepers and not function.held:
                self._sleepers.wake(function)
        elif to == RUNNING:
            self._start(job)
        elif to == GONE:
            pass
        elif to in (PENDING, AWAY):
            function.pending += 1
        elif to == SCHEDULED:
            function.scheduled[job.priority] += 1
            self.scheduled.start(job, _start_time(job))
        elif to == AWAITING:
            function.awaiting[job.priority] += 1
        if self.starts.doubtful or (self.links is not None and function.starts):
            self.starts.look(function)

    def assign(self, queue: Queue, peer: Peer) -> Job:
        """Give the first job of a queue to a worker."""
        job = queue.pop()
        job.worker = peer
        self.move(job, ASSIGNED, RUNNING)
        return job

    def queue_due(self) -> None:
        """Queue the scheduled jobs whose time has come."""
        for job in self.scheduled.due(self.wall):
            self.move(job, DUE, QUEUED)

    def _start(self, job: Job) -> None:
        worker, function = job.worker, job.function
        assert worker is not None  # noqa: S101
        worker.jobs[job.handle] = job
        self._memory.peers += RUN_MEMORY
        function.running += 1
        function.stats.waits.add(self.now - job.since)
        job.since = self.now
        timeout = worker.abilities[function.name]
        if function.policy is not None or job.extra is not None:
            timeout = shorter(timeout, timeout_of(job))
            self.expiry.started(job)
            if job.extra is not None:
                job.extra.expires = 0.0
        if timeout > 0:
            self.deadlines.start(job, self.now + timeout, timeout / EXACTNESS)
        if job.extra is not None and job.extra.lender is not None:
            # It counts at the server to which it belongs.
            function.borrowed += 1
        elif function.starts is not None:
            self.starts.started(function)
        if self.links is not None:
            self.links.started(job)

    def _stop(self, job: Job) -> None:
        worker, function = job.worker, job.function
        assert worker is not None  # noqa: S101
        del worker.jobs[job.handle]
        self._memory.peers -= RUN_MEMORY
        job.worker = None
        function.running -= 1
        function.stats.runs.add(self.now - job.since)
        if job.timer:
            self.deadlines.stop(job)
        if job.extra is not None and job.extra.lender is not None:
            function.borrowed -= 1
            assert self.links is not None  # noqa: S101
            self.links.ended(job, worker)
        if function.starts is not None:
            self.starts.stopped(function)

    def _limit_life(self, job: Job, function: Function) -> None:
        """Remember until when a worker must have got a job that was just queued."""
        extra = job.extra
        if extra is None:
            if function.ttl and not job.retries:
                expires = self.wall + function.ttl
                if not self.expiry.add(job, expires, function.ttl / EXACTNESS):
                    self.lives.start(job, expires)
            return
        if extra.expires < 0:
            ttl = value(job, "ttl")
            extra.expires = self.wall + ttl if ttl is not None else 0.0
        if extra.expires:
            self.lives.start(job, extra.expires)


def _start_time(job: Job) -> float:
    """Return before when a scheduled job must not start, in seconds since the epoch."""
    return job.when if job.extra is None else max(job.when, job.extra.due)
