"""A point: what happened to the jobs of a function in some seconds, as whole numbers.

A percentile is a code: 0 if there were no times, and otherwise a step on a scale on
which four steps double the time, from 1 ms on. So it has an error of at most 9 %, and
fits into a byte.
"""

from collections.abc import Iterable, Sequence
from math import log2
from typing import Final

from ..model.counters import Counters
from ..model.histogram import Histogram
from ..model.readings import FunctionReading

# What was counted within the seconds of the point.
COUNTED: Final = (
    *("submitted", "started", "completed", "failed", "retried", "given_up", "lost"),
)
# The highest number within these seconds. `oldest` is in seconds.
GAUGES: Final = ("queued", "running", "delayed", "dead", "workers", "oldest")
# Percentiles of waiting and running times.
PERCENTILES: Final = (
    *("wait_p50", "wait_p95", "wait_p99"),
    *("run_p50", "run_p95", "run_p99"),
)
FIELDS: Final = (*COUNTED, *GAUGES, *PERCENTILES)
FIRST_GAUGE: Final = len(COUNTED)
FIRST_PERCENTILE: Final = len(COUNTED) + len(GAUGES)

_SHARES: Final = (0.5, 0.95, 0.99)
_HIGHEST_CODE: Final = 255

Point = tuple[int, ...]
Gauges = tuple[int, ...]
NO_GAUGES: Final[Gauges] = (0,) * len(GAUGES)


def gauges(function: FunctionReading) -> Gauges:
    """Return the gauges of a function at one moment."""
    return (
        function.queued,
        function.running,
        function.delayed,
        function.dead,
        function.workers,
        int(function.oldest or 0),
    )


def highest(several: Iterable[Sequence[int]]) -> Gauges:
    """Return the highest number of each kind."""
    return tuple(map(max, zip(*several, strict=True)))


def summed(several: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """Return gauges of several functions as those of one: sums, and the oldest job."""
    columns = list(zip(*several, strict=True))
    return (*map(sum, columns[:-1]), max(columns[-1]))


def make(counters: Counters, numbers: Gauges) -> Point:
    """Return the point of what was counted, with the highest gauges."""
    return (
        counters.submitted,
        counters.started,
        counters.completed,
        counters.failed + counters.exceptions,
        counters.retried,
        counters.given_up,
        counters.lost + counters.timeouts,
        *numbers,
        *_codes(counters.waits),
        *_codes(counters.runs),
    )


def is_silent(point: Point) -> bool:
    """Whether nothing happened, and no job waits or runs: it need not be kept."""
    # Workers and dead jobs stay; they are of no interest while nothing else happens.
    return not any(point[: FIRST_GAUGE + 3])


def parts(point: Point, count: int) -> list[Point]:
    """Divide what was counted among several points; the rest is in the last one."""
    if count == 1:
        return [point]
    counted, others = point[:FIRST_GAUGE], point[FIRST_GAUGE:]
    each = tuple(number // count for number in counted)
    last = tuple(
        number - part * (count - 1) for number, part in zip(counted, each, strict=True)
    )
    return [*([(*each, *others)] * (count - 1)), (*last, *others)]


def _codes(times: Histogram) -> tuple[int, ...]:
    if not times.counts:
        return (0, 0, 0)
    return tuple(code(times.quantile(share)) for share in _SHARES)


def code(seconds: float | None) -> int:
    """Return the code of a time."""
    if seconds is None:
        return 0
    steps = round(4 * log2(max(seconds * 1000, 1.0)))
    return min(steps + 1, _HIGHEST_CODE)


def decoded(number: int) -> float | None:
    """Return the seconds that a code stands for."""
    return 2 ** ((number - 1) / 4) / 1000 if number else None
