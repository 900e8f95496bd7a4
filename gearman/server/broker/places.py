"""Where each job is, and how it moves.

When a job leaves a queue or a timer early, its entry there stays as a dead entry. Dead
entries are skipped when they come first, and are all removed (swept) before they are
more than the live ones. So an operation costs no more than the entries it is about.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Protocol

from .assignment.choice import Choice
from .assignment.sleepers import Sleepers
from .constants import SWEEP
from .memory import RUN_MEMORY, TIMER_MEMORY, TIMERS_MEMORY, Memory
from .model import Function, Job, Peer, Queue, Receipt
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
    from ...options import JobOptions

# At most so many jobs become due in one turn, as a million may have the same second.
MANY_DUE = 1000

# So many entries of a large heap are swept at a time, and so many stopped timers of a
# group are skipped at a time.
MANY_SWEPT = 8
MANY_SKIPPED = 10_000


class TimerGroup:
    """Timers with the same time and successive numbers, up to the number `last`."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0


class Timers:
    """Jobs by the time at which they are due; a job has one timer at most.

    `first` is when to call `due` next. There may be no job that is due then.
    """

    __slots__ = (
        "_entries", "_group", "_jobs", "_last", "_memory", "_old", "_when", "first",
    )  # fmt: skip

    def __init__(self, memory: Memory) -> None:
        # A heap of times, the first numbers of groups of timers, and these groups; and
        # the jobs of running timers, by number.
        self._entries: list[tuple[float, int, TimerGroup]] = []
        self._jobs: dict[int, Job] = {}
        # A heap that is being swept, some entries at a time, as it may be large.
        self._old: list[tuple[float, int, TimerGroup]] = []
        # The latest group, if it is in a heap, and its time.
        self._group: TimerGroup | None = None
        self._when = 0.0
        self._last = 0
        self._memory = memory
        self.first = inf

    def start(self, job: Job, when: float) -> None:
        self._last += 1
        job.timer = self._last
        self._jobs[self._last] = job
        self._memory.peers += TIMER_MEMORY
        group = self._group
        if group is None or self._when != when:
            group = self._group = TimerGroup()
            self._when = when
            heappush(self._entries, (when, self._last, group))
            self._memory.peers += TIMERS_MEMORY
            if when < self.first:
                self.first = when
        group.last = self._last
        if self._old:
            self._sweep()

    def stop(self, job: Job) -> None:
        del self._jobs[job.timer]
        job.timer = 0
        self._memory.peers -= TIMER_MEMORY
        if self._old:
            self._sweep()
        elif len(self._entries) > 2 * len(self._jobs) + SWEEP:
            self._entries, self._old = [], self._entries
            self._sweep()

    def due(self, now: float) -> list[Job]:
        """Remove and return the jobs that are due, the earliest first.

        If there are more than MANY_DUE, the rest is left to the next call.
        """
        jobs: list[Job] = []
        self._group = None
        self._set_first()
        skipped = 0
        while self.first <= now and len(jobs) < MANY_DUE and skipped < MANY_SKIPPED:
            heap = self._heap()
            when, timer, group = heappop(heap)
            last = min(group.last, timer + MANY_DUE)
            while timer <= last and len(jobs) < MANY_DUE:
                job = self._jobs.pop(timer, None)
                if job is None:
                    skipped += 1
                else:
                    job.timer = 0
                    jobs.append(job)
                timer += 1
            if timer <= group.last:
                heappush(heap, (when, timer, group))
            else:
                self._memory.peers -= TIMERS_MEMORY
            self._set_first()
        self._memory.peers -= TIMER_MEMORY * len(jobs)
        return jobs

    def _heap(self) -> list[tuple[float, int, TimerGroup]]:
        """Return the heap that has the first entry."""
        if self._old and (not self._entries or self._old[0] < self._entries[0]):
            return self._old
        return self._entries

    def _sweep(self) -> None:
        """Move some entries from the old heap to the new one, or drop them."""
        self._group = None
        # Without its last entries, a heap is still a heap.
        for _ in range(min(MANY_SWEPT, len(self._old))):
            when, timer, group = self._old.pop()
            last = min(group.last, timer + MANY_SKIPPED)
            while timer <= last and timer not in self._jobs:
                timer += 1
            if timer <= group.last:
                heappush(self._entries, (when, timer, group))
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


class Lookup(Protocol):
    """Answers what may be known by another server of the cluster only."""

    def status(self, peer: Peer, handle: bytes, /) -> None: ...
    def status_unique(self, peer: Peer, unique: bytes, /) -> None: ...
    def result(self, peer: Peer, handle: bytes, /) -> None: ...
    def watch(self, peer: Peer, handle: bytes, /) -> None: ...
    def cancel(self, handle: bytes, told: Callable[[bool], None], /) -> None: ...


class SharedSettings(Protocol):
    """Is told what was set, and when all settings were loaded.

    Commands that change settings are passed on to the server that keeps these.
    """

    def is_linked(self) -> bool: ...
    def pass_on(self, line: bytes, told: Callable[[bytes | None], None], /) -> None: ...
    def changed(self, kind: bytes, name: bytes, /) -> None: ...
    def loaded(self) -> None: ...


class Shares(Protocol):
    """Is told that this server owns other shards."""

    def look(self) -> None: ...


class Links(Protocol):
    """The links to other servers of the cluster; see `links`."""

    @property
    def lookup(self) -> Lookup: ...
    @property
    def settings(self) -> SharedSettings: ...
    @property
    def sharing(self) -> Shares: ...
    @property
    def first(self) -> float: ...
    def tick(self, now: float, /) -> None: ...
    def disconnected(self, peer: Peer, /) -> None: ...
    def abandon(self) -> None: ...
    def pass_on(
        self,
        peer: Peer,
        function: Function,
        unique: bytes,
        workload: bytes,
        priority: int,
        background: bool,
        when: int,
        reducer: bytes | None,
        receipt: Receipt | None,
        options: "JobOptions | None",
        /,
    ) -> bool: ...
    def abandoned(self, job: Job, /) -> None: ...
    def queued(self, function: Function, woken: bool, /) -> None: ...
    def started(self, job: Job, /) -> None: ...
    def offers(self, peer: Peer, function: Function, /) -> None: ...
    def slept(self, peer: Peer, /) -> None: ...
    def returned(self, job: Job, /) -> None: ...
    def lost(self, job: Job, /) -> None: ...
    def overdue(self, job: Job, /) -> None: ...
    def retried(
        self, job: Job, pause: float, reason: bytes, counts: bool, /
    ) -> None: ...
    def adopt(self, job: Job, /) -> bool: ...


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
            self.deadlines.start(job, self.now + timeout)
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
        if function.starts is not None:
            self.starts.stopped(function)

    def _limit_life(self, job: Job, function: Function) -> None:
        """Remember until when a worker must have got a job that was just queued."""
        extra = job.extra
        if extra is None:
            if function.ttl and not job.retries:
                expires = self.wall + function.ttl
                if not self.expiry.add(job, expires):
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
