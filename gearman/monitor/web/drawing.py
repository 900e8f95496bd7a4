"""Charts: numbers of the history as lines of an SVG picture.

The picture has fixed units and is stretched by the browser, so its texts are outside of
it. `data` has the same numbers for the script that reads them out under the pointer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Final

from ..history.points import FIELDS as NAMES
from ..history.points import FIRST_PERCENTILE, GAUGES
from ..history.spans import Chart
from ..text import duration, number, rate

WIDTH: Final = 600
HEIGHT: Final = 120
# Numbers of a line: more would be less than a pixel or two apart.
POINTS: Final = 150

# The last number of a line is among so many points: the newest may not be read yet.
RECENT: Final = 5

SPARK_WIDTH: Final = 120
SPARK_HEIGHT: Final = 24
SPARK_POINTS: Final = 60

PER_SECOND: Final = "/s"
JOBS: Final = ""
SECONDS: Final = "s"

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its field in the history, its name for people, and its colour."""

    field: str
    label: str
    colour: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A chart to be drawn: which lines it has, and the unit of its numbers."""

    key: str
    title: str
    unit: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A line with its path in the picture, its last number and its highest one."""

    label: str
    colour: str
    path: str
    area: str
    last: str
    highest: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart as a template shows it; `is_empty` if nothing was read in the time."""

    key: str
    title: str
    unit: str
    top: str
    start: int
    end: int
    lines: tuple[DrawnLine, ...]
    is_empty: bool
    data: Mapping[str, object]
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def sentence(self) -> str:
        """What somebody is told who does not see the picture."""
        if self.is_empty:
            return f"{self.title}: nothing was read in this time"
        parts = (
            f"{line.label} {line.last}, highest {line.highest}" for line in self.lines
        )
        return f"{self.title}: {'; '.join(parts)}"


def draw(plan: Plan, chart: Chart) -> Drawing:
    """Return the drawing of a chart."""
    several = [
        _thinned(chart.fields[line.field], POINTS, _is_summed(line.field))
        for line in plan.lines
    ]
    count = len(several[0])
    length = chart.step * len(chart.fields[plan.lines[0].field])
    step = length / count if count else chart.step
    known = [value for values in several for value in values if value is not None]
    top = ceiling(max(known, default=0.0), plan.unit)
    lines = tuple(
        _line(line, values, top, plan.unit)
        for line, values in zip(plan.lines, several, strict=True)
    )
    data = {
        "start": chart.start,
        "step": step,
        "unit": plan.unit,
        "lines": [
            {"label": line.label, "values": [_short(value) for value in values]}
            for line, values in zip(plan.lines, several, strict=True)
        ],
    }
    return Drawing(
        plan.key,
        plan.title,
        plan.unit,
        shown(top, plan.unit),
        chart.start,
        chart.start + length,
        lines,
        not known,
        data,
    )


def spark(values: Values, field: str) -> tuple[str, str]:
    """Return the path of a small line without axes, and a sentence about it."""
    thin = _thinned(values, SPARK_POINTS, _is_summed(field))
    known = [value for value in thin if value is not None]
    highest = max(known, default=0.0)
    if not known:
        return "", "nothing was read"
    if not highest:
        return "", "none"
    path = _path(thin, highest, SPARK_WIDTH, SPARK_HEIGHT)
    unit = PER_SECOND if _is_summed(field) else JOBS
    return path, f"now {shown(known[-1], unit)}, highest {shown(highest, unit)}"


def shown(value: float | None, unit: str) -> str:
    """Return a number of a chart with its unit."""
    if value is None:
        return "-"
    if unit == SECONDS:
        return duration(value)
    return f"{rate(value)}{unit}" if unit else number(value)


def ceiling(highest: float, unit: str) -> float:
    """Return a round number that is not below the highest one."""
    if highest <= 0 or not isfinite(highest):
        return 0.001 if unit == SECONDS else 1.0
    size = 10.0 ** floor(log10(highest))
    found = next(
        step * size for step in (1, 2, 5, 10) if step * size >= highest * 0.999
    )
    return found if unit else max(found, 1.0)


def _is_summed(field: str) -> bool:
    """Whether a field is counted, so that neighbours are averaged."""
    return field not in GAUGES and NAMES.index(field) < FIRST_PERCENTILE


def _thinned(values: Values, most: int, is_summed: bool) -> list[float | None]:
    """Return as many numbers or fewer: the averages or the highest of neighbours."""
    each = -(-len(values) // most)
    if each <= 1:
        return [*values]
    thin: list[float | None] = []
    # From the end, so that the last number is about as many as the others.
    first = len(values) % each
    if first:
        thin.append(_one(values[:first], is_summed))
    for place in range(first, len(values), each):
        thin.append(_one(values[place : place + each], is_summed))
    return thin


def _one(values: Values, is_summed: bool) -> float | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return sum(known) / len(known) if is_summed else max(known)


def _line(line: Line, values: Values, top: float, unit: str) -> DrawnLine:
    known = [value for value in values if value is not None]
    recent = [value for value in values[-RECENT:] if value is not None]
    path = _path(values, top, WIDTH, HEIGHT)
    return DrawnLine(
        line.label,
        line.colour,
        path,
        _area(values, top) if path else "",
        shown(recent[-1] if recent else None, unit),
        shown(max(known, default=None), unit),
    )


def _path(values: Values, top: float, width: int, height: int) -> str:
    """Return the path of a line; it has a gap where there is no number."""
    return " ".join(
        "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in part)
        for part in _parts(values, top, width, height)
    )


def _area(values: Values, top: float) -> str:
    """Return the path of what is below a line."""
    return " ".join(
        f"M{part[0][0]:.1f} {HEIGHT}L"
        + "L".join(f"{x:.1f} {y:.1f}" for x, y in part)
        + f"L{part[-1][0]:.1f} {HEIGHT}Z"
        for part in _parts(values, top, WIDTH, HEIGHT)
    )


def _parts(
    values: Values, top: float, width: int, height: int
) -> list[list[tuple[float, float]]]:
    """Return the points of a line, divided at its gaps."""
    distance = width / max(len(values) - 1, 1)
    # The line has a width, too.
    room = height - 2
    parts: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            parts.append([])
            continue
        height_of_it = room * min(value / top, 1.0)
        parts[-1].append((place * distance, height - 1 - height_of_it))
    # A point alone would not be seen.
    return [
        part if len(part) > 1 else [part[0], (part[0][0] + 1, part[0][1])]
        for part in parts
        if part
    ]


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
