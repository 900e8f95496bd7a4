"""The records of a store as tables: a row for each, or counts by function."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Final

from ...queue import StoredJob
from ...text import printable, text_or_base64
from .. import tables
from ..tables import Table
from .job_lines import PRIORITIES, summary
from .kinds import DEAD, KEPT_RESULT, POLICY, SCHEDULE, UNKNOWN, WAITING, kind, start

# Jobs that are aligned together, since all of them may not fit into memory.
_PAGE: Final = 1000

_COLUMNS: Final = (
    *("number", "handle", "function", "unique", "priority", "when", "retries"),
    *("bytes", "extra_bytes", "kind"),
)
_NUMBERS: Final = frozenset({"number", "retries", "bytes", "extra_bytes"})

_OTHERS: Final = {
    DEAD: "dead",
    KEPT_RESULT: "results",
    POLICY: "settings",
    SCHEDULE: "settings",
    UNKNOWN: "unknown",
}
_COUNTS: Final = Table(
    ("function", "jobs", *PRIORITIES, "scheduled", *dict.fromkeys(_OTHERS.values()))
)


def tabbed(jobs: Iterable[StoredJob]) -> Iterator[str]:
    """Yield a line for each job, its cells separated by tabs."""
    return ("\t".join(_cells(job, str)) for job in jobs)


def aligned(jobs: Iterable[StoredJob]) -> Iterator[str]:
    """Yield a heading and a line for each job, in columns that may become wider."""
    widths = [0] * len(_COLUMNS)
    rows = [[name.capitalize().replace("_", " ") for name in _COLUMNS]]
    remaining = iter(jobs)
    while rows := rows + [_cells(job, _time) for job in islice(remaining, _PAGE)]:
        widths = [
            max(width, *map(len, column))
            for width, column in zip(widths, zip(*rows, strict=True), strict=True)
        ]
        yield from (_padded(row, widths) for row in rows)
        rows = []


def records(jobs: Iterable[StoredJob]) -> Iterator[dict[str, object]]:
    """Yield an object for JSON for each job."""
    for job in jobs:
        sizes = {"bytes": len(job.workload), "extra_bytes": len(job.extra)}
        yield summary(job) | sizes | {"kind": kind(job)}


def _cells(job: StoredJob, time: Callable[[int], str]) -> list[str]:
    return [
        str(job.number),
        shown(job.handle),
        shown(job.function),
        shown(job.unique),
        PRIORITIES[job.priority],
        time(job.when),
        str(job.retries),
        str(len(job.workload)),
        str(len(job.extra)),
        kind(job),
    ]


def shown(name: bytes) -> str:
    """Return a name with its control characters escaped: tabs and line ends too."""
    return printable(name).decode(errors="surrogateescape")


def _time(when: int) -> str:
    if not when:
        return "-"
    try:
        return datetime.fromtimestamp(when).isoformat(" ")
    except (OverflowError, ValueError, OSError):
        return str(when)


def _padded(row: list[str], widths: list[int]) -> str:
    cells = (
        cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
        for column, cell, width in zip(_COLUMNS, row, widths, strict=True)
    )
    return "  ".join(cells).rstrip()


class Counts:
    """The numbers of jobs by function and priority, and of the other records.

    Jobs whose time is after `now`, in seconds since the epoch, count as scheduled.
    """

    def __init__(self, jobs: Iterable[StoredJob], now: float) -> None:
        self._numbers: dict[bytes, Counter[str]] = {}
        for job in jobs:
            numbers = self._numbers.setdefault(job.function, Counter())
            what = kind(job)
            if what == WAITING:
                numbers["jobs"] += 1
                numbers[PRIORITIES[job.priority]] += 1
                numbers["scheduled"] += start(job) > now
            else:
                numbers[_OTHERS[what]] += 1

    def _rows(self) -> Iterator[tuple[bytes | None, list[int]]]:
        """Yield functions with their numbers; None stands for all functions."""
        everything: Counter[str] = Counter()
        for function in sorted(self._numbers):
            everything += self._numbers[function]
            yield function, _numbers(self._numbers[function])
        yield None, _numbers(everything)

    def tabbed(self) -> Iterator[str]:
        """Yield a line for each function, and one that begins with a tab for all."""
        return self._lines("")

    def aligned(self) -> list[str]:
        """Return a heading and the same rows in columns."""
        return tables.aligned(_COUNTS, list(self._lines("(all)")))

    def _lines(self, everything: str) -> Iterator[str]:
        for function, numbers in self._rows():
            name = everything if function is None else shown(function)
            yield "\t".join((name, *map(str, numbers)))

    def records(self) -> Iterator[dict[str, object]]:
        """Yield objects for JSON; the one for all functions has no `function`."""
        for function, numbers in self._rows():
            name = {} if function is None else {"function": text_or_base64(function)}
            yield name | dict(zip(_COUNTS.columns[1:], numbers, strict=True))


def _numbers(counted: Counter[str]) -> list[int]:
    return [counted[column] for column in _COUNTS.columns[1:]]
