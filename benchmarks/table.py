"""Tables of outcomes: medians, the best of a group, ratios, text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .loads import Load
from .play import Figures, Outcome
from .servers import Server

BASELINE = "gearmand"
MISSING = "-"


@dataclass(frozen=True, slots=True)
class Column:
    """A figure, its decimals, and whether its ratio is shown as well."""

    heading: str
    figure: str
    decimals: int = 0
    ratio: bool = False
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one server for one load, or the reason why there are none."""

    load: str
    group: str
    server: str
    figures: Figures
    remarks: tuple[str, ...] = ()


_MEBIBYTE = 1024 * 1024

TABLES: Mapping[str, tuple[Column, ...]] = {
    "speed": (
        Column("jobs/s", "rate", ratio=True),
        Column("CPU µs/job", "cpu", 2, ratio=True),
        Column("p50 µs", "p50"),
        Column("p99 µs", "p99"),
        Column("RSS MiB", "memory", 1, scale=_MEBIBYTE),
    ),
    "growth": (
        Column("submit first/s", "submit_first_rate"),
        Column("submit last/s", "submit_last_rate"),
        Column("submit CPU µs", "submit_cpu", 2, ratio=True),
        Column("drain first/s", "drain_first_rate"),
        Column("drain last/s", "drain_last_rate"),
        Column("drain CPU µs", "drain_cpu", 2, ratio=True),
        Column("RSS MiB", "submit_memory", 1, scale=_MEBIBYTE),
    ),
    "durable": (
        Column("submit/s", "submit_rate", ratio=True),
        Column("CPU µs", "submit_cpu", 1, ratio=True),
        Column("drain/s", "drain_rate", ratio=True),
        Column("CPU µs", "drain_cpu", 1, ratio=True),
        Column("1 in flight p50 µs", "single_p50"),
        Column("one commit µs", "commit"),
    ),
    "memory": (
        Column("bytes of RSS each", "each", ratio=True),
        Column("RSS MiB", "memory", 1, scale=_MEBIBYTE),
    ),
}

# The figure by which the best of a group is chosen, and whether less is better.
_DECISIVE = {
    "speed": ("rate", False),
    "growth": ("submit_cpu", True),
    "memory": ("each", True),
    "durable": ("submit_rate", False),
}


def rows(
    load: Load, servers: Sequence[Server], outcomes: Iterable[Outcome]
) -> list[Row]:
    """Return one row for each group of servers, in the servers' order."""
    played = [outcome for outcome in outcomes if outcome.load == load.name]
    best: dict[str, Row] = {}
    for server in servers:
        mine = [outcome for outcome in played if outcome.server == server.label]
        if mine:
            row = _row(load, server, mine)
            known = best.get(server.group)
            best[server.group] = row if known is None else _better(load, known, row)
    return list(best.values())


def _row(load: Load, server: Server, outcomes: Sequence[Outcome]) -> Row:
    remarks = dict.fromkeys(text for one in outcomes for text in one.remarks)
    failures = [one.failure for one in outcomes if one.failure]
    if failures:
        return Row(load.name, server.group, server.label, {}, tuple(failures))
    figures = medians([one.figures for one in outcomes])
    return Row(load.name, server.group, server.label, figures, tuple(remarks))


def medians(figures: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return {key: median(one[key] for one in figures) for key in figures[0]}


def _better(load: Load, one: Row, other: Row) -> Row:
    if not one.figures or not other.figures:
        return one if one.figures else other
    figure, less = _DECISIVE[load.table]
    return (min if less else max)(one, other, key=lambda row: row.figures[figure])


def ratio(row: Row, baseline: Row | None, figure: str) -> float | None:
    """Return a figure as a multiple of the baseline's, if both exist."""
    if baseline is None:
        return None
    mine, theirs = row.figures.get(figure), baseline.figures.get(figure)
    return mine / theirs if mine is not None and theirs else None


def baseline_of(rows: Iterable[Row]) -> Row | None:
    """Return the row that the others are compared with, if there is one."""
    return next((row for row in rows if row.group == BASELINE), None)


def table(name: str, loads: Sequence[Sequence[Row]]) -> str:
    """Return an aligned Markdown table, with the remarks on its rows below it."""
    headings = ["load", "server"]
    for column in TABLES[name]:
        headings += [column.heading, "ratio"] if column.ratio else [column.heading]
    lines = [_cells(name, row, baseline_of(rows)) for rows in loads for row in rows]
    notes = [
        f"- {row.load}, {row.server}: {remark}"
        for rows in loads
        for row in rows
        for remark in row.remarks
    ]
    return "\n".join([*aligned(headings, lines), *([""] if notes else []), *notes])


def _cells(name: str, row: Row, baseline: Row | None) -> list[str]:
    cells = [row.load, row.server]
    for column in TABLES[name]:
        value = row.figures.get(column.figure)
        # A rate of 0 means that its window was not reached.
        known = value is not None and (value > 0 or "rate" not in column.figure)
        cells.append(_number(value, column) if value is not None and known else MISSING)
        if column.ratio:
            multiple = ratio(row, baseline, column.figure)
            cells.append(MISSING if multiple is None else f"{multiple:.2f}x")
    return cells


def _number(value: float, column: Column) -> str:
    return f"{value / column.scale:,.{column.decimals}f}"


def aligned(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table: two columns of words, then numbers."""
    widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    yield line(headings)
    rules = (
        "-" * width if place < 2 else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    )
    yield f"| {' | '.join(rules)} |"
    yield from map(line, lines)
