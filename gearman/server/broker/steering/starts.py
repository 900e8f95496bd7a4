"""Which functions may start jobs: `paused`, `max-running` and `rate` of policies.

In a cluster, a server that is not sure to own the stored jobs starts none of them. With
links it has a share of `max-running` and `rate` (see Sharing), which is for jobs that
belong to it, wherever they run.

The jobs of a function that may not start any stay queued, and wake no worker. When it
may start jobs again, workers are woken.
"""

from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Protocol

from ....options import Policy
from ..assignment.choice import Choice
from ..assignment.sleepers import Sleepers
from ..constants import HIGH, LOW
from ..model import Function, Job
from .start_limits import StartGroup, StartLimits

if TYPE_CHECKING:
    from collections.abc import Iterable

# The times of starts are kept as exactly as this part of the window.
EXACTNESS = 1000


class Links(Protocol):
    """Is told that a function may start jobs again, or has no share of its limits."""

    def released(self, function: Function, /) -> None: ...
    def needs(self, function: Function, /) -> None: ...


class Starts:
    """Counts the starts of jobs, and holds functions back.

    In seconds of the monotonic clock, `now` is the time, and `first` is when to call
    `go_on`. While it is `doubtful`, functions are held whose next jobs are stored.
    """

    def __init__(self, choice: Choice, sleepers: Sleepers) -> None:
        self.now = 0.0
        self.first = inf
        self.doubtful = False
        self.links: Links | None = None
        self._choice = choice
        self._sleepers = sleepers
        # When functions may start jobs again, as a heap; the numbers decide if the
        # times are equal.
        self._pauses: list[tuple[float, int, Function]] = []
        self._last = 0

    def apply(self, function: Function, policy: Policy | None) -> None:
        """Hold a function, or let it go on, as its new policy says."""
        limits = function.starts
        most = (policy.max_running if policy else None) or 0
        rate = policy.rate if policy else None
        if not (most or rate):
            function.starts = None
        else:
            if limits is None:
                limits = function.starts = StartLimits()
            limits.most = most
            limits.count = max(int(rate.count), 1) if rate else 0
            limits.seconds = rate.seconds / min(rate.count, 1.0) if rate else 0.0
        self.look(function)

    def started(self, function: Function) -> None:
        """Count a start of a function that has limits."""
        limits = function.starts
        assert limits is not None  # noqa: S101
        limits.recent += 1
        limits.may_start -= 1
        if limits.count:
            log = limits.log
            group = log[-1] if log else None
            if group and self.now - group.first < limits.seconds / EXACTNESS:
                # The whole group counts until its last start is long enough ago.
                group.count += 1
                group.last = self.now
            else:
                log.append(StartGroup(self.now))
            limits.started += 1
        self.look(function)

    def stopped(self, function: Function) -> None:
        """Let a function with limits go on, after a job of it has stopped."""
        if function.held:
            self.look(function)

    def go_on(self) -> None:
        """Let those functions go on whose time has come."""
        while self._pauses and self._pauses[0][0] <= self.now:
            _, _, function = heappop(self._pauses)
            self.look(function)
        self.first = self._pauses[0][0] if self._pauses else inf

    def owns(self, job: Job | None) -> bool:
        """Whether this is a job that is stored, and that no other server has ended."""
        return job is not None and job.background and not self.doubtful

    def doubt(self, functions: "Iterable[Function]", on: bool) -> None:
        """Be doubtful, or be sure again; these are all functions."""
        self.doubtful = on
        for function in functions:
            self.look(function)

    def look(self, function: Function) -> None:
        """Hold a function, or let it go on, as things are now."""
        held = self._must_wait(function)
        if held == function.held:
            return
        function.held = held
        if not held:
            for priority in range(HIGH, LOW + 1):
                queue = function.queues[priority]
                if queue.count and not queue.listed:
                    self._choice.add(function, priority)
            if self.links is not None:
                self.links.released(function)
            if function.sleepers and function.ready():
                self._sleepers.wake(function)

    def blocks(self, function: Function) -> bool:
        """Whether not even jobs of other servers may start."""
        policy = function.policy
        if policy is not None and policy.paused:
            return True
        return self.doubtful and _next_is_stored(function)

    def _must_wait(self, function: Function) -> bool:
        limits = function.starts
        if self.blocks(function):
            return True
        if limits is None:
            return False
        if self.links is not None:
            if _next_is_borrowed(function) or self._has_share(function, limits):
                return False
            self.links.needs(function)
            return True
        if 0 < limits.most <= function.running:
            return True
        return limits.count > 0 and self._window_is_full(function, limits)

    def _has_share(self, function: Function, limits: StartLimits) -> bool:
        if limits.over <= self.now:
            return False
        if limits.most and limits.may_run <= function.running - function.borrowed:
            return False
        return not limits.count or limits.may_start > 0

    def forget_old(self, limits: StartLimits) -> None:
        """Forget the starts that count no more."""
        log = limits.log
        while log and log[0].last + limits.seconds <= self.now:
            limits.started -= log.popleft().count

    def _window_is_full(self, function: Function, limits: StartLimits) -> bool:
        self.forget_old(limits)
        log = limits.log
        if limits.started < limits.count:
            return False
        until = log[0].last + limits.seconds
        if until != limits.until:
            limits.until = until
            self._last += 1
            heappush(self._pauses, (until, self._last, function))
            self.first = self._pauses[0][0]
        return True


def _next_is_borrowed(function: Function) -> bool:
    """Whether the next job belongs to another server."""
    for queue in function.queues:
        job = queue.first()
        if job is not None:
            return job.extra is not None and job.extra.lender is not None
    return False


def _next_is_stored(function: Function) -> bool:
    """Whether the first job of any priority is a stored one."""
    # Written as a loop, since compiled functions cannot have generators.
    for queue in function.queues:
        job = queue.first()
        if job is not None and job.stored:
            return True
    return False
