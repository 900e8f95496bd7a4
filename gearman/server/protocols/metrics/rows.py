"""The functions that have labels of their own, and what is said of each of them."""

from collections.abc import Collection, Iterator, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple, TypeVar

from ...broker import Broker, Function, Stats
from .labels import OTHER, label

_T = TypeVar("_T")

# So many functions are handled in a step; other peers may be served after each.
STEP: Final = 50


class Row(NamedTuple):
    """What is said of a function; `oldest` is in seconds, 0 if no job is queued."""

    label: bytes
    jobs: int
    running: int
    workers: int
    oldest: float
    stats: Stats


class Rows:
    """Makes a row for each function, up to a number; the others share one row.

    Those that have most jobs, waiting and since the start, get rows of their own. One
    that had a row the last time keeps it until another one has had twice as many jobs:
    counters of the shared row go back when a function leaves it.
    """

    def __init__(self, broker: Broker, most: int) -> None:
        self._broker = broker
        self._most = most
        self._named: set[bytes] = set()

    def fill(self, rows: list[Row]) -> Iterator[None]:
        """Add all rows to a list, in steps."""
        broker = self._broker
        # From one moment: a function that is forgotten later is counted once.
        functions = list(broker.functions.known.values())
        gone = Stats()
        gone.merge(broker.functions.gone)
        chosen: Collection[int] = range(len(functions))
        if len(functions) > self._most:
            chosen = set()
            yield from self._choose(functions, chosen)
            self._named = {functions[number].name for number in chosen}
        for numbers in steps(sorted(chosen)):
            yield
            rows.extend(row(functions[number], broker.now) for number in numbers)
        if len(chosen) < len(functions) or gone.submitted:
            shared = _Shared(gone)
            for numbers in steps(range(len(functions))):
                yield
                for number in numbers:
                    if number not in chosen:
                        shared.add(row(functions[number], broker.now))
            rows.append(shared.row())

    def _choose(self, functions: list[Function], chosen: set[int]) -> Iterator[None]:
        """Add the numbers of the functions that get rows of their own to a set."""
        named = self._named
        # The first one is that which is left out next.
        heap: list[tuple[int, int]] = []
        for numbers in steps(range(len(functions))):
            yield
            for number in numbers:
                function = functions[number]
                jobs = function.stats.submitted + function.total()
                heappush(heap, (jobs * (1 + (function.name in named)), -number))
                if len(heap) > self._most:
                    heappop(heap)
        chosen.update(-number for _, number in heap)


def steps(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield the items of a list, STEP at a time."""
    for start in range(0, len(items), STEP):
        yield items[start : start + STEP]


def row(function: Function, now: float) -> Row:
    jobs, running = function.total(), function.running
    waited = function.waited(now) if jobs > running else None
    return Row(
        label(function.name),
        jobs,
        running,
        function.workers,
        waited or 0.0,
        function.stats,
    )


class _Shared:
    """Adds up the functions that share a row; `stats` are of those forgotten."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._jobs = self._running = self._workers = 0
        self._oldest = 0.0

    def add(self, one: Row) -> None:
        self._jobs += one.jobs
        self._running += one.running
        self._workers += one.workers
        self._oldest = max(self._oldest, one.oldest)
        self._stats.merge(one.stats)

    def row(self) -> Row:
        sums = (self._jobs, self._running, self._workers)
        return Row(OTHER, *sums, self._oldest, self._stats)
