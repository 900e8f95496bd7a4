"""The history as numbers for a chart: at equal distances, over a span of time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .file import File
from .points import COUNTED, FIELDS, FIRST_GAUGE, FIRST_PERCENTILE, decoded
from .recorder import ALL
from .tiers import COARSE, DAY, FINE, HOUR, MIDDLE, Tier


@dataclass(frozen=True, slots=True)
class Span:
    """A time until now, and the seconds from one number of a chart to the next."""

    seconds: int
    step: int
    tier: Tier


SPANS: Final[Mapping[str, Span]] = {
    "10m": Span(600, 1, FINE),
    "hour": Span(HOUR, 10, MIDDLE),
    "day": Span(DAY, 120, MIDDLE),
    "week": Span(7 * DAY, 1200, COARSE),
    "month": Span(30 * DAY, HOUR, COARSE),
    "year": Span(365 * DAY, DAY // 2, COARSE),
}

# The number of a field at a step, None if the server was not read then.
Values = list[float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """Numbers by fields; the first one is about the `step` seconds from `start` on.

    What was counted is a rate, per second; times are in seconds.
    """

    start: int
    step: int
    fields: Mapping[str, Values]


def chart(
    file: File,
    addresses: Sequence[str],
    name: bytes,
    span: Span,
    fields: Sequence[str],
    now: float,
) -> Chart:
    """Return the history of a function on some servers, as that of one.

    An empty name stands for all functions. Counts and gauges are summed, of percentiles
    and ages the highest is taken.
    """
    end = int(now) // span.step * span.step
    start = end - span.seconds // span.step * span.step
    wanted = [FIELDS.index(field) for field in fields]
    grids = [
        _Grid(file, address, name, span, start, end).read(wanted)
        for address in addresses
        if file.server(address) is not None
    ]
    count = (end - start) // span.step
    found = {
        field: _united(place, [grid[place] for grid in grids], count)
        for field, place in zip(fields, wanted, strict=True)
    }
    return Chart(start, span.step, found)


def _united(place: int, several: Sequence[Values], count: int) -> Values:
    """Return the numbers of several servers as those of one."""
    unite: Callable[[list[float]], float] = max if _is_peak(place) else sum
    united: Values = []
    for step in range(count):
        there = [v for values in several if (v := values[step]) is not None]
        united.append(unite(there) if there else None)
    if place >= FIRST_PERCENTILE:
        # There were no times, which is not a time of 0.
        return [decoded(int(v)) if v else None for v in united]
    return united


_OLDEST: Final = FIELDS.index("oldest")


def _is_peak(place: int) -> bool:
    return place >= FIRST_PERCENTILE or place == _OLDEST


class _Grid:
    """The numbers of a function on one server, at the steps of a chart."""

    def __init__(
        self, file: File, address: str, name: bytes, span: Span, start: int, end: int
    ) -> None:
        self._file = file
        server = file.server(address)
        assert server is not None  # noqa: S101
        self._server = server
        self._function = file.function(server, name)
        self._all = file.function(server, ALL)
        self._span = span
        self._start = start
        self._end = end
        self._count = (end - start) // span.step

    def read(self, wanted: Sequence[int]) -> dict[int, Values]:
        # Where a finer tier has nothing, as while nobody looked, a coarser one does.
        tiers = [FINE, MIDDLE] if self._span.tier is FINE else [self._span.tier]
        found: dict[int, Values] = {place: [None] * self._count for place in wanted}
        for tier in tiers:
            self._fill(found, tier, wanted)
        return found

    def _fill(
        self, found: dict[int, Values], tier: Tier, wanted: Sequence[int]
    ) -> None:
        # How many seconds of each step were read: then what is missing is 0.
        seen = [0] * self._count
        if self._all is not None:
            for times, _ in self._columns(tier, self._all, ()):
                for time in times:
                    for step in self._steps(time, tier):
                        seen[step] += min(tier.seconds, self._span.step)
        sums = {place: [0.0] * self._count for place in wanted}
        if self._function is not None:
            for times, columns in self._columns(tier, self._function, wanted):
                for place in wanted:
                    self._add(sums[place], place, tier, times, columns[place])
        for place in wanted:
            values, total = found[place], sums[place]
            for step, seconds in enumerate(seen):
                if seconds and values[step] is None:
                    counted = place < len(COUNTED)
                    values[step] = total[step] / seconds if counted else total[step]

    def _add(
        self,
        sums: list[float],
        place: int,
        tier: Tier,
        times: Sequence[int],
        values: Sequence[int],
    ) -> None:
        for time, value in zip(times, values, strict=True):
            if not value:
                continue
            steps = self._steps(time, tier)
            for step in steps:
                if place < FIRST_GAUGE:
                    sums[step] += value * min(1.0, self._span.step / tier.seconds)
                else:
                    sums[step] = max(sums[step], value)

    def _steps(self, time: int, tier: Tier) -> range:
        """Return the steps that a point is about."""
        first = (time - self._start) // self._span.step
        width = max(tier.seconds // self._span.step, 1)
        return range(max(first, 0), min(first + width, self._count))

    def _columns(
        self, tier: Tier, function: int, wanted: Sequence[int]
    ) -> list[tuple[list[int], dict[int, list[int]]]]:
        start, end = self._start - tier.seconds, self._end
        found = []
        if tier.chunk:
            found = list(self._file.chunks(tier, function, start, end, wanted))
        rows = list(self._file.moments(tier, self._server, function, start, end))
        if rows:
            times = [time for time, _ in rows]
            columns = {place: [point[place] for _, point in rows] for place in wanted}
            found.append((times, columns))
        return found
