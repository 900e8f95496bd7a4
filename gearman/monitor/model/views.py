"""What a page shows of servers and functions, made from readings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .counters import Counters
from .histogram import Histogram


@dataclass(frozen=True, slots=True)
class Rates:
    """How often something happened, per second, between the last two readings."""

    submitted: float = 0.0
    started: float = 0.0
    completed: float = 0.0
    failed: float = 0.0
    retried: float = 0.0


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Times in seconds, None if there are none: half of all times, 95 %, 99 %."""

    half: float | None = None
    most: float | None = None
    nearly_all: float | None = None


@dataclass(frozen=True, slots=True)
class ServerView:
    """A server. `health` is up, down, outage (it can't store jobs), or unknown yet.

    `reason` says why it is not up. `since` is when the health began, in seconds since
    1970; `read` when the server was read for the last time. With `counts` False its
    numbers are gauges only. `rates` and `uptime` are None if the server does not tell.
    `facts` is what `show stats` says of the server, {} if it does not.
    """

    address: str
    health: str
    reason: str
    since: float
    read: float | None
    version: str
    build: str
    uptime: float | None
    counts: bool
    functions: int
    workers: int
    queued: int
    running: int
    delayed: int
    dead: int
    rates: Rates | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FunctionPart:
    """A function on one server, or the sum of several servers if `server` is empty.

    `rates`, `counters`, `waits` and `runs` are None if no server counts. `counters` are
    those since the servers started; `recent`, `waits` and `runs` are about the last one
    or two minutes.
    """

    server: str
    workers: int
    running: int
    queued: int
    scheduled: int
    awaiting: int
    pending: int
    dead: int
    held: bool
    oldest: float | None
    unstaffed: float | None
    # How many jobs more are queued than one or two minutes ago.
    growth: int
    rates: Rates | None
    counters: Counters | None
    recent: Counters | None
    waits: Percentiles | None
    runs: Percentiles | None

    @property
    def delayed(self) -> int:
        """Jobs that wait for something else than a worker."""
        return self.scheduled + self.awaiting + self.pending


@dataclass(frozen=True, slots=True)
class FunctionView:
    """A function on all servers: `total`, and its `parts` by server.

    The higher the `score`, the more it needs somebody to look; 0 is fine. `trouble` is
    a sentence that says why, empty if all is well.
    """

    name: bytes
    score: float
    trouble: str
    total: FunctionPart
    parts: tuple[FunctionPart, ...]


def percentiles(times: Histogram) -> Percentiles:
    """Return the percentiles of a histogram."""
    return Percentiles(*map(times.quantile, (0.5, 0.95, 0.99)))


def rates(new: Counters, old: Counters, seconds: float) -> Rates:
    """Return how often a second what was counted between two moments.

    If a counter is smaller than before, the server began again: then all is new.
    """
    if new is old:
        return _STILL
    now, then = _rated(new), _rated(old)
    if any(a < b for a, b in zip(now, then, strict=True)):
        then = (0,) * len(then)
    return Rates(*((a - b) / seconds for a, b in zip(now, then, strict=True)))


def _rated(counters: Counters) -> tuple[int, ...]:
    """Return what there are rates of, in the order of Rates."""
    failed = counters.failed + counters.exceptions
    return (
        *(counters.submitted, counters.started, counters.completed),
        *(failed, counters.retried),
    )


_STILL: Final = Rates()
