"""Timers of jobs, without a clock: whoever asks says what time it is."""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

# Below this many entries that were stopped, sweeping them out is not worth it.
SWEEP = 32


class Timed(Protocol):
    """What can have a timer: `timer` is its number, 0 while it has none."""

    timer: int


T = TypeVar("T", bound=Timed)


class Timers(Generic[T]):
    """Jobs by the time at which something is due; a job has one timer at most."""

    __slots__ = ("_entries", "_last", "_live")

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, T]] = []
        self._live = 0
        self._last = 0

    def start(self, job: T, when: float) -> None:
        self._last += 1
        self._live += 1
        job.timer = self._last
        heappush(self._entries, (when, job.timer, job))

    def stop(self, job: T) -> None:
        job.timer = 0
        self._live -= 1
        if len(self._entries) > 2 * self._live + SWEEP:
            self._entries = [e for e in self._entries if e[2].timer == e[1]]
            heapify(self._entries)

    def due(self, now: float) -> Iterator[T]:
        """Take out the jobs whose time has come, the earliest first."""
        while self._entries and self._entries[0][0] <= now:
            _, timer, job = heappop(self._entries)
            if job.timer == timer:
                job.timer = 0
                self._live -= 1
                yield job

    def next(self) -> float | None:
        """When to look again; it may turn out that nothing is due then."""
        return self._entries[0][0] if self._entries else None
