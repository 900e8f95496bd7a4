"""The history as numbers for a chart: at equal distances, over a span of time."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .file import File
from .packing import point_of
from .points import FIELDS, FIRST_GAUGE, FIRST_PERCENTILE, decoded
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


def charts(
    file: File,
    addresses: Sequence[str],
    names: Sequence[bytes],
    span: Span,
    fields: Sequence[str],
    now: float,
) -> list[Chart]:
    """Return the history of functions on some servers, each as that of one.

    An empty name stands for all functions. Counts and gauges are summed, of percentiles
    and ages the highest is taken.
    """
    end = int(now) // span.step * span.step
    start = end - span.seconds // span.step * span.step
    wanted = [FIELDS.index(field) for field in fields]
    servers = [number for a in addresses if (number := file.server(a)) is not None]
    grids = [_Grid(file, server, span, start, end) for server in servers]
    read = [grid.read(names, wanted) for grid in grids]
    count = (end - start) // span.step
    return [
        Chart(
            start,
            span.step,
            {
                field: _united(place, [found[name][place] for found in read], count)
                for field, place in zip(fields, wanted, strict=True)
            },
        )
        for name in names
    ]


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


# Times that rise, and the values of some fields at these times.
_Columns = tuple[Sequence[int], Mapping[int, Sequence[int]]]
_Moments = Sequence[tuple[int, Mapping[int, bytes]]]
# A step of a chart, and the places of its points: from the first one, up to the last.
_Part = tuple[int, int, int]


class _Grid:
    """The numbers of functions on one server, at the steps of a chart."""

    def __init__(
        self, file: File, server: int, span: Span, start: int, end: int
    ) -> None:
        self._file = file
        self._server = server
        self._span = span
        self._start = start
        self._end = end
        self._count = (end - start) // span.step

    def read(
        self, names: Sequence[bytes], wanted: Sequence[int]
    ) -> dict[bytes, dict[int, Values]]:
        """Return the values of the wanted fields, by the names of functions."""
        found: dict[bytes, dict[int, Values]] = {
            name: {place: [None] * self._count for place in wanted} for name in names
        }
        # Where a finer tier has nothing, as while nobody looked, a coarser one does.
        tiers = [FINE, MIDDLE] if self._span.tier is FINE else [self._span.tier]
        for tier in tiers:
            moments = self._moments(tier, names)
            everything = self._columns(
                tier, moments, ALL, wanted if ALL in names else ()
            )
            seen = self._seen(tier, everything)
            for name in names:
                columns = everything
                if name != ALL:
                    columns = self._columns(tier, moments, name, wanted)
                self._fill(found[name], seen, tier, columns)
        return found

    def _moments(self, tier: Tier, names: Sequence[bytes]) -> _Moments:
        known = (self._file.function(self._server, name) for name in (ALL, *names))
        numbers = {number for number in known if number is not None}
        start = self._start - tier.seconds
        found = self._file.moments(tier, self._server, start, self._end, numbers)
        return list(found)

    def _seen(self, tier: Tier, several: Sequence[_Columns]) -> list[int]:
        """Return how many seconds of each step were read: what is missing there is 0.

        The sum of all functions, which is given, has a point for each time.
        """
        seen = [0] * self._count
        for times, _ in several:
            for step, first, last in self._parts(times, tier):
                seen[step] += (last - first) * min(tier.seconds, self._span.step)
        return seen

    def _columns(
        self, tier: Tier, moments: _Moments, name: bytes, wanted: Sequence[int]
    ) -> list[_Columns]:
        function = self._file.function(self._server, name)
        if function is None:
            return []
        found: list[_Columns] = list(
            self._file.chunks(
                tier, function, self._start - tier.seconds, self._end, wanted
            )
        )
        rows = [(time, e[function]) for time, e in moments if function in e]
        if rows:
            points = [point_of(entry) for _, entry in rows]
            columns = {place: [point[place] for point in points] for place in wanted}
            found.append(([time for time, _ in rows], columns))
        return found

    def _fill(
        self,
        found: dict[int, Values],
        seen: Sequence[int],
        tier: Tier,
        several: Sequence[_Columns],
    ) -> None:
        """Set the values that are not known yet, at steps that were read."""
        sums = {place: [0.0] * self._count for place in found}
        for times, columns in several:
            parts = self._parts(times, tier)
            for place, totals in sums.items():
                self._add(totals, place, tier, parts, columns[place])
        for place, values in found.items():
            for step, seconds in enumerate(seen):
                if seconds and values[step] is None:
                    total = sums[place][step]
                    values[step] = total / seconds if place < FIRST_GAUGE else total

    def _add(
        self,
        totals: list[float],
        place: int,
        tier: Tier,
        parts: Sequence[_Part],
        values: Sequence[int],
    ) -> None:
        # A year has half a million points: they are added up by slices.
        if place >= FIRST_GAUGE:
            for step, first, last in parts:
                totals[step] = max(totals[step], max(values[first:last]))
            return
        share = min(1.0, self._span.step / tier.seconds)
        for step, first, last in parts:
            totals[step] += sum(values[first:last]) * share

    def _parts(self, times: Sequence[int], tier: Tier) -> list[_Part]:
        """Return the steps that have points, each with its points: from, and up to."""
        if tier.seconds > self._span.step:
            return self._spread(times, tier)
        found: list[_Part] = []
        last = bisect_left(times, self._start)
        while last < len(times) and times[last] < self._end:
            step = (times[last] - self._start) // self._span.step
            first = last
            end = self._start + (step + 1) * self._span.step
            last = bisect_left(times, end, first)
            found.append((step, first, last))
        return found

    def _spread(self, times: Sequence[int], tier: Tier) -> list[_Part]:
        """Return the steps of points that are longer than a step."""
        width = tier.seconds // self._span.step
        found: list[_Part] = []
        for place, time in enumerate(times):
            step = (time - self._start) // self._span.step
            steps = range(max(step, 0), min(step + width, self._count))
            found += ((each, place, place + 1) for each in steps)
        return found
