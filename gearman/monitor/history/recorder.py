"""Makes moments for the history from the readings of servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..model import counters as counting
from ..model.counters import NOTHING, Counters
from ..model.readings import FunctionReading, Reading
from .points import (
    NO_GAUGES,
    Gauges,
    Point,
    gauges,
    highest,
    is_silent,
    make,
    parts,
    summed,
)
from .tiers import TIERS, Tier

# The name under which the sum of all functions of a server is kept.
ALL: Final = b""


@dataclass(frozen=True, slots=True)
class Moment:
    """The points of a server's functions; `time` is when the seconds begin."""

    tier: int
    address: str
    time: int
    points: Mapping[bytes, Point]


@dataclass(slots=True)
class _Open:
    """The seconds of a tier that are not over: what was read at their beginning."""

    start: int
    first: Reading
    highest: dict[bytes, Gauges] = field(default_factory=dict)
    total: Gauges = NO_GAUGES

    def look(self, busy: Mapping[bytes, Gauges], total: Gauges) -> None:
        """Keep the highest gauges."""
        for name, now in busy.items():
            before = self.highest.get(name)
            self.highest[name] = now if before is None else highest((now, before))
        self.total = highest((self.total, total))


class Recorder:
    """Takes readings, and returns the moments that are over with each of them."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], _Open] = {}

    def take(self, address: str, reading: Reading) -> list[Moment]:
        moments: list[Moment] = []
        # Functions without jobs cost nothing.
        functions = reading.functions.values()
        busy = {each.name: gauges(each) for each in functions if not each.is_idle}
        total = summed(map(gauges, functions)) if functions else NO_GAUGES
        for tier in TIERS:
            start = int(reading.time) // tier.seconds * tier.seconds
            key = address, tier.number
            opened = self._open.get(key)
            if opened is not None:
                opened.look(busy, total)
                if start == opened.start:
                    continue
                moments += _moments(tier, address, opened, reading, start)
            self._open[key] = _Open(start, reading)
        return moments


def _moments(
    tier: Tier, address: str, opened: _Open, reading: Reading, start: int
) -> list[Moment]:
    """Return the moments from the beginning of the open one to before `start`."""
    elapsed = reading.time - opened.first.time
    # The clock may have been set back.
    if not 0 < elapsed <= max(tier.gap, tier.seconds) + tier.seconds:
        return []
    points = _points(opened, reading)
    count = (start - opened.start) // tier.seconds
    several: list[dict[bytes, Point]] = [{} for _ in range(count)]
    for name, point in points.items():
        for moment, part in zip(several, parts(point, count), strict=True):
            if name == ALL or not is_silent(part):
                moment[name] = part
    return [
        Moment(tier.number, address, opened.start + number * tier.seconds, moment)
        for number, moment in enumerate(several)
    ]


def _points(opened: _Open, reading: Reading) -> dict[bytes, Point]:
    """Return a point for each function with which something was."""
    points: dict[bytes, Point] = {}
    first = opened.first
    news: list[Counters] = [reading.forgotten.since(first.forgotten)]
    for name, function in reading.functions.items():
        counters = _since(function, first.functions.get(name))
        numbers = opened.highest.get(name)
        if counters is not NOTHING or numbers is not None:
            news.append(counters)
            point = make(counters, numbers or gauges(function))
            if not is_silent(point):
                points[name] = point
    points[ALL] = make(counting.total(news), opened.total)
    return points


def _since(function: FunctionReading, before: FunctionReading | None) -> Counters:
    if function is before or function.counters is None:
        return NOTHING
    then = before.counters if before is not None else None
    return function.counters.since(then or NOTHING)
