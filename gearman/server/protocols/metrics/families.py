"""The families of metrics that have a sample for each function, as %-templates.

A template has what stands for one function; it is in parts, between which the label is
to be put. To put the numbers of many functions into their templates at once is the
cheapest way to make many lines in plain Python. The compiled samples use the same
templates.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

from ...broker import Stats
from ...broker.stats import BOUNDS, COUNTERS, Histogram
from .rows import Row, steps

# The numbers of the buckets that are shown: up to 1 ms, 16 ms, 128 ms, 1 s, 8 s, 66 s,
# 17 min, 5 h. All that are counted would take too long for a thousand functions.
SHOWN: Final = (0, 4, 7, 10, 13, 16, 20, 24)

Values = tuple[Any, ...]

_BYTES: Final = ("bytes_in", "bytes_out")
_EVENTS: Final = tuple(name for name in COUNTERS if name not in _BYTES)
_events: Final[Callable[[Stats], Values]] = attrgetter(*_EVENTS)
_shown: Final[Callable[[list[int]], Values]] = itemgetter(*SHOWN, -1)


def head(name: str, kind: str, text: str) -> bytes:
    """Return the first lines of a family."""
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n".encode()


class Family(NamedTuple):
    """A family of metrics, for all functions.

    `values` returns the numbers for the template of one function; none if it has no
    samples.
    """

    head: bytes
    template: tuple[bytes, ...]
    values: Callable[[Row], Values]

    def lines(self, rows: Iterable[Row]) -> bytes:
        """Return the lines of some functions."""
        templates: list[bytes] = []
        values: list[Any] = []
        for row in rows:
            if numbers := self.values(row):
                templates.append(row.label.join(self.template))
                values += numbers
        return b"".join(templates) % tuple(values)


def _parts(template: str) -> tuple[bytes, ...]:
    """Return a template, in which NULs stand for the label, as its parts."""
    return tuple(template.encode().split(b"\0"))


def _labelled(
    name: str,
    text: str,
    key: str,
    words: Sequence[str],
    values: Callable[[Row], Values],
) -> Family:
    """Return a family of counters with one more label."""
    lines = (f'{name}{{function="\0",{key}="{word}"}} %d\n' for word in words)
    return Family(head(name, "counter", text), _parts("".join(lines)), values)


def _times(name: str, text: str, times: Callable[[Row], Histogram]) -> Family:
    label = 'function="\0"'
    template = "".join(buckets(name, [BOUNDS[number] for number in SHOWN], label))
    template += f"{name}_sum{{{label}}} %.6f\n{name}_count{{{label}}} %d\n"

    def values(row: Row) -> Values:
        histogram = times(row)
        counts = _shown(histogram.sums())
        count = counts[-1]
        return (*counts, histogram.total, count) if count else ()

    return Family(head(name, "histogram", text), _parts(template), values)


def buckets(name: str, bounds: Sequence[float], label: str = "") -> Iterator[str]:
    """Yield the lines of the buckets of a histogram."""
    label += "," if label else ""
    for bound in (*map(str, bounds), "+Inf"):
        yield f'{name}_bucket{{{label}le="{bound}"}} %d\n'


# The name of each gauge, its text, and the form of its number.
_GAUGES: Final = (
    ("gearman_jobs", "Jobs of a function, waiting and running.", "%d"),
    ("gearman_jobs_running", "Jobs of a function that workers have.", "%d"),
    (
        "gearman_jobs_waiting",
        "Jobs of a function that wait: for a worker, their time, or other jobs.",
        "%d",
    ),
    ("gearman_workers", "Workers that have a function.", "%d"),
    (
        "gearman_oldest_waiting_seconds",
        "How long the job has waited for a worker that is first in its queue.",
        "%.3f",
    ),
)
# The first lines of each family of gauges, and its template.
GAUGES: Final = tuple(
    (head(name, "gauge", text), _parts(f'{name}{{function="\0"}} {form}\n'))
    for name, text, form in _GAUGES
)
# Between the gauges of a function, which are made at once. No label has it.
_BREAK: Final = b"\1"
_GAUGE_LINES: Final = tuple(
    _BREAK.join(b"\0".join(template) for _, template in GAUGES).split(b"\0")
)


def gauges(rows: Sequence[Row]) -> Iterator[bytes]:
    """Yield the text of the families of gauges, in steps; some yield nothing."""
    made: list[list[bytes]] = []
    for batch in steps(rows):
        yield b""
        for label, jobs, running, workers, oldest, _ in batch:
            values = (jobs, running, jobs - running, workers, oldest)
            made.append((label.join(_GAUGE_LINES) % values).split(_BREAK))
    for number, (first_lines, _) in enumerate(GAUGES):
        yield first_lines
        for part in steps(made):
            yield b"".join([lines[number] for lines in part])


COUNTED: Final = (
    _labelled(
        "gearman_jobs_total",
        "What has happened to jobs of a function; docs/monitoring.md has the events.",
        "event",
        _EVENTS,
        lambda row: _events(row.stats),
    ),
    _labelled(
        "gearman_workload_bytes_total",
        "Bytes of workloads (in), and of results and data from workers (out).",
        "direction",
        ("in", "out"),
        lambda row: (row.stats.bytes_in, row.stats.bytes_out),
    ),
    _times(
        "gearman_job_wait_seconds",
        "How long jobs have waited in their queue until a worker got them.",
        lambda row: row.stats.waits,
    ),
    _times(
        "gearman_job_run_seconds",
        "How long workers have had jobs.",
        lambda row: row.stats.runs,
    ),
)


def counted(row: Row) -> Values:
    """Return numbers that change when the lines of COUNTED do.

    A job that starts or ends changes these, whatever its times are.
    """
    stats = row.stats
    times = (stats.waits.total, stats.runs.total)
    return row.running, times, stats.bytes_in, stats.bytes_out, _events(stats)
