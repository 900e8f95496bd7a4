"""The lists of the admin protocol, in columns and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from json import loads
from typing import Final


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a list; all but the first are numbers.

    Columns of `texts` have other texts. `words` is for the list `workers`, whose rows
    are words instead of columns. Lines that are `json` are shown as they are.
    """

    columns: tuple[str, ...]
    words: bool = False
    texts: frozenset[str] = frozenset()
    json: bool = False

    def cells(self, line: str) -> list[str]:
        """Return the cells of a line, one for each column if the line is valid."""
        if self.words:
            return _worker(line)
        return line.split("\t", len(self.columns) - 1)

    def record(self, line: str) -> dict[str, object]:
        """Return a line as an object for JSON."""
        if self.json:
            record: dict[str, object] = loads(line)
            return record
        first, *others = self.cells(line)
        names = self.columns[1:]
        if self.words:
            *others, functions = others
            return {
                self.columns[0]: _number(first),
                **dict(zip(names, others, strict=False)),
                names[-1]: functions.split(),
            }
        values = {
            name: cell if name in self.texts else _number(cell)
            for name, cell in zip(names, others, strict=False)
        }
        return {self.columns[0]: first, **values}


STATUS: Final = Table(("function", "total", "running", "workers"))
PRIORITIES: Final = Table(("function", "high", "normal", "low", "workers"))
JOBS: Final = Table(("handle", "retries", "ignored", "queued"))
UNIQUES: Final = Table(("unique",))
POLICIES: Final = Table(("function", "policy"), texts=frozenset({"policy"}))
DEAD: Final = Table(
    ("handle", "function", "attempts", "died", "reason"),
    texts=frozenset({"function", "reason"}),
)
SCHEDULES: Final = Table(
    (
        *("schedule", "cron", "function", "next", "last", "paused"),
        *("source", "owner"),
    ),
    texts=frozenset({"cron", "function", "source", "owner"}),
)
RECORDS: Final = Table((), json=True)
LIMITS: Final = Table(("limit", "value", "used", "hits"))
WORKERS: Final = Table(("descriptor", "address", "id", "functions"), words=True)


def aligned(table: Table, lines: Sequence[str]) -> list[str]:
    """Return a heading and the rows in columns, with numbers right-aligned."""
    if table.json:
        return list(lines)
    rows = [[c.capitalize() for c in table.columns], *map(table.cells, lines)]
    width = len(table.columns)
    rows = [[*row, *[""] * (width - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(width)]
    return ["  ".join(_padded(table, row, widths)).rstrip() for row in rows]


def _padded(table: Table, row: list[str], widths: list[int]) -> list[str]:
    left = {table.columns[0], *(table.columns if table.words else table.texts)}
    return [
        cell.ljust(width) if name in left else cell.rjust(width)
        for name, cell, width in zip(table.columns, row, widths, strict=True)
    ]


def _worker(line: str) -> list[str]:
    """Split `fd address id : functions`; an id may contain spaces."""
    start, _, functions = f"{line} ".partition(" : ")
    descriptor, _, rest = start.partition(" ")
    address, _, name = rest.partition(" ")
    return [descriptor, address, name, functions.strip()]


def _number(cell: str) -> int | str:
    return int(cell) if cell.isascii() and cell.isdigit() else cell
