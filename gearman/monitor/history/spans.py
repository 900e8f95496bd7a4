"""The history as numbers for a chart: at equal distances, over a span of time."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import add
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
    count = (end - start) // span.step
    united: dict[bytes, dict[int, Values]] = {
        name: {place: [None] * count for place in wanted} for name in names
    }
    for server in servers:
        found = _Grid(file, server, span, start, end).read(names, wanted)
        for name, columns in found.items():
            for place, values in columns.items():
                _unite(place, united[name][place], values)
    return [
        Chart(
            start,
            span.step,
            {
                field: _shown(place, united[name][place])
                for field, place in zip(fields, wanted, strict=True)
            },
        )
        for name in names
    ]


def _unite(place: int, united: Values, values: Values) -> None:
    """Add the numbers of one more server."""
    unite: Callable[[float, float], float] = max if _is_peak(place) else add
    for step, value in enumerate(values):
        if value is not None:
            before = united[step]
            united[step] = value if before is None else unite(before, value)


def _shown(place: int, values: Values) -> Values:
    if place < FIRST_PERCENTILE:
        return values
    # There were no times, which is not a time of 0.
    return [decoded(int(value)) if value else None for value in values]


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
            seen = self._seen(tier, self._columns(tier, moments, ALL, ()))
            for name in names:
                columns = self._columns(tier, moments, name, wanted)
                self._fill(found[name], seen, tier, columns)
        return found

    def _moments(self, tier: Tier, names: Sequence[bytes]) -> _Moments:
        known = (self._file.function(self._server, name) for name in (ALL, *names))
        numbers = {number for number in known if number is not None}
        start = self._start - tier.seconds
        found = self._file.moments(tier, self._server, start, self._end, numbers)
        return list(found)

    def _seen(self, tier: Tier, several: Iterable[_Columns]) -> list[int]:
        """Return how many seconds of each step were read: what is missing there is 0.

        The sum of all functions, whose times are given, has a point for each time.
        """
        seen = [0] * self._count
        for times, _ in several:
            for step, first, last in self._parts(times, tier):
                seen[step] += (last - first) * min(tier.seconds, self._span.step)
        return seen

    def _columns(
        self, tier: Tier, moments: _Moments, name: bytes, wanted: Sequence[int]
    ) -> Iterator[_Columns]:
        """Yield the points of a function, chunk by chunk: a year has half a million."""
        function = self._file.function(self._server, name)
        if function is None:
            return
        yield from self._file.chunks(
            tier, function, self._start - tier.seconds, self._end, wanted
        )
        rows = [(time, e[function]) for time, e in moments if function in e]
        if rows:
            points = [point_of(entry) for _, entry in rows]
            columns = {place: [point[place] for point in points] for place in wanted}
            yield [time for time, _ in rows], columns

    def _fill(
        self,
        found: dict[int, Values],
        seen: Sequence[int],
        tier: Tier,
        several: Iterable[_Columns],
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
