"""The page of `--watch`: one line for each process."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .actions import RunningJob

_WIDTH: Final = 10


@dataclass(frozen=True, slots=True)
class Row:
    """A process; `only` is its function if it has only one. Seconds, and bytes."""

    number: int
    pid: int
    state: str
    only: str
    age: float
    memory: int
    done: int
    failed: int
    jobs: Sequence[RunningJob]


class Page:
    """Counts the jobs of all processes, also of those that have gone."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._done = self._failed = 0
        self._before: tuple[float, int] | None = None

    def add(self, done: int, failed: int) -> None:
        """Count the jobs of a process that has gone."""
        self._done += done
        self._failed += failed

    def lines(
        self, now: float, rows: Iterable[Row], columns: int, height: int
    ) -> list[str]:
        """Return the page, at most so high, and less wide than `columns`."""
        rows = list(rows)
        done = self._done + sum(row.done for row in rows)
        failed = self._failed + sum(row.failed for row in rows)
        head = f"{self._title}  {len(rows)} processes, {done} jobs, {failed} failed"
        if self._before is not None and now > self._before[0]:
            then, before = self._before
            head += f", {(done - before) / (now - then):.0f}/s"
        self._before = now, done
        lines = [head, *(_line(now, row) for row in rows)]
        if len(lines) > height:
            hidden = len(lines) - height + 1
            lines = [*lines[: height - 1], f"... and {hidden} more"]
        return [line[: columns - 1] for line in lines]


def _line(now: float, row: Row) -> str:
    failed = f" ({row.failed} failed)" if row.failed else ""
    words = [
        f"[{row.number}]".ljust(5),
        f"{row.pid:>7}",
        row.state.ljust(8),
        duration(row.age).rjust(8),
        f"{row.memory / 1024**2:5.0f} MiB",
        f"{row.done} jobs{failed}".ljust(12),
        *([f"for {row.only}"] if row.only else []),
        *_running(now, row.jobs),
    ]
    return " ".join(words).rstrip()


def _running(now: float, jobs: Sequence[RunningJob]) -> Iterator[str]:
    """Yield what the job that runs for the longest time does."""
    if not jobs:
        return
    job = min(jobs, key=lambda job: job.started)
    seconds = max(0.0, now - job.started)
    part = job.progress
    if part is None and job.timeout:
        part = min(1.0, seconds / job.timeout)
    if part is not None:
        filled = int(part * _WIDTH)
        yield f"[{'#' * filled}{'-' * (_WIDTH - filled)}]"
    yield f"{job.function} {job.handle} {seconds:.1f} s"
    if job.timeout:
        yield f"of {job.timeout:g} s"
    if len(jobs) > 1:
        yield f"and {len(jobs) - 1} more"


def duration(seconds: float) -> str:
    """Return a time as hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
