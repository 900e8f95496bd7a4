"""The admin commands that show jobs: `show job`, `workload`, `list jobs`, `show dead`.

Jobs are listed in the order of their numbers, dead ones among the others. So a page of
a list begins after any handle, even if its job is gone, and what comes before the page
costs nothing.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from ...options import format_options
from ...text import printable, shown, text_or_base64
from ..broker import Broker, Job
from ..broker.constants import RANGE
from ..broker.making import number_of
from ..broker.states import DEAD, GONE
from .fields import PRIORITIES, STATES, seconds, worker_fields
from .lines import END, MUCH, NO_JOB, Answer, invalid, json_line, pieces
from .query import parse_query, unescaped

# The lines of `list jobs`, unless another limit is given; and the highest limit.
LIMIT: Final = 100
MOST: Final = 10_000
# Bytes of a workload that are shown.
MOST_SHOWN: Final = 64 * 1024

# The states that a list may be of.
_NUMBERS: Final = {
    name.encode(): number for number, name in STATES.items() if number != GONE
}

_LIMIT = re.compile(rb"[0-9]{1,9}")


class _Ranges(Protocol):
    def start_after(self, number: int) -> int: ...
    def numbers(self, start: int) -> list[int]: ...


class Table(Protocol):
    """Jobs by their numbers, and the ranges of these."""

    @property
    def known(self) -> Mapping[int, Job]: ...
    @property
    def ranges(self) -> _Ranges: ...


class _Page(NamedTuple):
    """Which jobs a list has; None is any. `after` is the number before the first."""

    function: bytes | None = None
    unique: bytes | None = None
    state: int | None = None
    limit: int = LIMIT
    after: int = -1

    def has(self, job: Job) -> bool:
        return (
            (self.state is None or job.state == self.state)
            and (self.function is None or job.function.name == self.function)
            and (self.unique is None or job.unique == self.unique)
        )


class JobLists:
    """Answers the commands that show jobs, with the broker's data."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def one(self, handle: bytes) -> Answer:
        """Answer `show job HANDLE`."""
        job = self._find(handle)
        if job is None:
            return NO_JOB
        record = _record(job, self._broker.places.now)
        if job.extra is not None and job.extra.error is not None:
            record["error"] = text_or_base64(job.extra.error)
        return json_line(record) + END

    def workload(self, handle: bytes) -> Answer:
        """Answer `workload HANDLE`."""
        job = self._find(handle)
        if job is None:
            return NO_JOB
        record = {
            "handle": text_or_base64(job.handle),
            "size": len(job.workload),
            "workload": text_or_base64(bytes(job.workload[:MOST_SHOWN])),
        }
        return json_line(record) + END

    def _find(self, handle: bytes) -> Job | None:
        return self._broker.jobs.find(handle) or self._broker.dead.find(handle)

    def page(self, words: bytes) -> Answer:
        """Answer `list jobs key=value&...`."""
        try:
            return pieces(self._lines(self._page(words)), MUCH)
        except ValueError as error:
            return invalid(str(error))

    def dead(self) -> Answer:
        """Answer `show dead`."""
        jobs = walk(-1, self._broker.dead)
        return pieces(b"" if job is None else _dead_line(job) for job in jobs)

    def _lines(self, page: _Page) -> Iterator[bytes]:
        tables: list[Table] = []
        if page.state != DEAD:
            tables.append(self._broker.jobs)
        if page.state is None or page.state == DEAD:
            tables.append(self._broker.dead)
        left, end = page.limit, self._broker.jobs.next_number
        for job in walk(page.after, *tables):
            if job is None or not page.has(job):
                yield b""
            elif job.number >= end:
                return
            else:
                yield json_line(_record(job, self._broker.places.now))
                left -= 1
                if not left:
                    return

    def _page(self, text: bytes) -> _Page:
        """Return the page that a text describes. Raises ValueError."""
        values = parse_query(
            text,
            {
                "function": unescaped,
                "unique": unescaped,
                "state": lambda value: _state(unescaped(value)),
                "limit": lambda value: _limit(unescaped(value)),
                "after": lambda value: self._after(unescaped(value)),
            },
        )
        return _Page(**values)

    def _after(self, handle: bytes) -> int:
        number = number_of(handle)
        if number < 0:
            raise ValueError(f"after must be a handle, not '{shown(handle)}'")
        return number


def walk(number: int, *tables: Table) -> Iterator[Job | None]:
    """Yield the jobs of tables whose numbers are above this one, in their order.

    The tables may change meanwhile. None stands for the work of looking for jobs in a
    range, and for a job that has gone.
    """
    while True:
        starts = [table.ranges.start_after(number) for table in tables]
        start = min((start for start in starts if start >= 0), default=-1)
        if start < 0:
            return
        found: list[int] = []
        for table in tables:
            found += table.ranges.numbers(start)
            yield None
        for each in sorted(found):
            if each > number:
                yield next((t.known[each] for t in tables if each in t.known), None)
        number = start + RANGE - 1


def _state(text: bytes) -> int:
    if text not in _NUMBERS:
        states = b", ".join(_NUMBERS).decode()
        raise ValueError(f"state must be one of {states}, not '{shown(text)}'")
    return _NUMBERS[text]


def _limit(text: bytes) -> int:
    if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= MOST:
        raise ValueError(
            f"limit must be a number from 1 to {MOST}, not '{shown(text)}'"
        )
    return int(text)


def _record(job: Job, now: float) -> dict[str, object]:
    """Return a job as an object for JSON; `now` is on the broker's clock."""
    extra, worker = job.extra, job.worker
    record: dict[str, object] = {
        "handle": text_or_base64(job.handle),
        "function": text_or_base64(job.function.name),
        "unique": text_or_base64(job.unique),
        "state": STATES[job.state],
        "priority": PRIORITIES[job.priority],
        "background": bool(job.background),
        "attempts": 0 if extra is None else extra.attempts,
        "retries": job.retries,
        "size": len(job.workload),
    }
    due = job.when if extra is None else max(job.when, extra.due)
    times = {"due": due}
    if extra is not None:
        times |= {"submitted": extra.submitted, "expires": extra.expires}
        times["died"] = extra.died
    record |= {name: time for name, time in times.items() if time > 0}
    if worker is not None:
        record["worker"] = worker_fields(worker)
        record["ran"] = seconds(now - job.since)
    if extra is not None and extra.options is not None:
        record["options"] = format_options(extra.options).decode()
    if job.state == DEAD and extra is not None:
        record["reason"] = text_or_base64(extra.reason)
    return record


def _dead_line(job: Job) -> bytes:
    """Return a dead job's handle, function, failed attempts, time of death, reason."""
    extra = job.extra
    assert extra is not None  # noqa: S101
    name, reason = printable(job.function.name), printable(extra.reason)
    numbers = b"%d\t%d" % (extra.attempts, extra.died)
    return b"%b\t%b\t%b\t%b\n" % (job.handle, name, numbers, reason)
