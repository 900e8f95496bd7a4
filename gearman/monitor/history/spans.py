"""The history as numbers for a chart: at equal distances, over a span of time."""

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


# Times, and the values of some fields at these times.
_Columns = tuple[list[int], Mapping[int, list[int]]]


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
            moments = list(
                self._file.moments(
                    tier, self._server, self._start - tier.seconds, self._end
                )
            )
            seen = self._seen(tier, moments)
            for name in names:
                self._fill(
                    found[name], seen, tier, self._columns(tier, moments, name, wanted)
                )
        return found

    def _seen(self, tier: Tier, moments: "_Moments") -> list[int]:
        """Return how many seconds of each step were read: what is missing there is 0.

        The sum of all functions has a point for each time that was read.
        """
        seen = [0] * self._count
        for times, _ in self._columns(tier, moments, ALL, ()):
            for time in times:
                for step in self._steps(time, tier):
                    seen[step] += min(tier.seconds, self._span.step)
        return seen

    def _columns(
        self, tier: Tier, moments: "_Moments", name: bytes, wanted: Sequence[int]
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
        for place, values in found.items():
            sums = [0.0] * self._count
            for times, columns in several:
                self._add(sums, place, tier, times, columns[place])
            for step, seconds in enumerate(seen):
                if seconds and values[step] is None:
                    counted = place < FIRST_GAUGE
                    values[step] = sums[step] / seconds if counted else sums[step]

    def _add(
        self,
        sums: list[float],
        place: int,
        tier: Tier,
        times: Sequence[int],
        values: Sequence[int],
    ) -> None:
        share = min(1.0, self._span.step / tier.seconds)
        for time, value in zip(times, values, strict=True):
            if not value:
                continue
            for step in self._steps(time, tier):
                if place < FIRST_GAUGE:
                    sums[step] += value * share
                else:
                    sums[step] = max(sums[step], value)

    def _steps(self, time: int, tier: Tier) -> range:
        """Return the steps that a point is about."""
        first = (time - self._start) // self._span.step
        width = max(tier.seconds // self._span.step, 1)
        return range(max(first, 0), min(first + width, self._count))


_Moments = Sequence[tuple[int, Mapping[int, bytes]]]
