"""What a server answered at one moment: objects of `show stats`, or lines of `status`.

Answers come from servers, which may be of any version: what is missing counts as 0, and
what nobody can read raises ValueError.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..text import name_text
from .counters import NOTHING, NUMBERS, Counters
from .histogram import BUCKETS, Histogram

# Functions of one server that are read; more of them are left out.
MOST_FUNCTIONS: Final = 100_000
# What is more than this is no number of jobs, and no time.
_MOST: Final = 1 << 62
# Characters of a text that are kept.
_LONGEST: Final = 512


_STATUS = re.compile(rb"(.*)\t(\d{1,18})\t(\d{1,18})\t(\d{1,18})", re.DOTALL)
_WORKER = re.compile(rb"(-?\d{1,18}) (\S*) (.*?) :(?: (.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FunctionReading:
    """A function of one server; `counters` is None if the server does not count.

    `oldest` and `unstaffed` are in seconds: how long the first job in the queue has
    waited, and for how long there has been no worker.
    """

    name: bytes
    workers: int = 0
    running: int = 0
    queued: int = 0
    scheduled: int = 0
    awaiting: int = 0
    pending: int = 0
    dead: int = 0
    held: bool = False
    oldest: float | None = None
    unstaffed: float | None = None
    counters: Counters | None = None

    @property
    def delayed(self) -> int:
        """Jobs that wait for something else than a worker."""
        return self.scheduled + self.awaiting + self.pending

    @property
    def is_idle(self) -> bool:
        """Whether it has no jobs that wait or run."""
        return not (self.queued or self.running or self.delayed)


@dataclass(frozen=True, slots=True)
class Reading:
    """A server at one moment; `time` is in seconds since 1970.

    `facts` is the object that `show stats` has for the server. With `counts` False the
    server has no counters: all numbers are those of the moment.
    """

    time: float
    version: str
    functions: Mapping[bytes, FunctionReading]
    counts: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    # What has happened to jobs of functions that the server has forgotten.
    forgotten: Counters = NOTHING


@dataclass(frozen=True, slots=True)
class Worker:
    """A connection of a server that is a worker, or a client.

    `functions` are printable, as the server shows them: control characters as \\xNN.
    """

    descriptor: int
    address: str
    id: str
    functions: tuple[bytes, ...]


def unreadable(line: bytes) -> ValueError:
    """Return the error for a line that is not what was asked for."""
    return ValueError(f"an answer that can't be read: {line[:80]!r}")


class StatsReader:
    """Reads answers of `show stats`, one after the other, of one server.

    What has not changed since the last answer is the same object as then: of a thousand
    functions that do nothing there is only one copy, and they are not parsed again.
    """

    def __init__(self) -> None:
        self._last: dict[bytes, FunctionReading] = {}

    def read(self, lines: Sequence[bytes], time: float) -> Reading:
        """Return what the lines say, which are given without the last one, `.`."""
        facts: Mapping[str, Any] = {}
        forgotten = NOTHING
        functions: dict[bytes, FunctionReading] = {}
        seen: dict[bytes, FunctionReading] = {}
        for line in lines[: MOST_FUNCTIONS + 2]:
            known = self._last.get(line)
            if known is None:
                record = json_object(line)
                kind = record.get("kind")
                if kind == "server":
                    facts = record
                elif kind == "forgotten":
                    forgotten = _counters(record)
                elif kind == "function":
                    known = _function(record)
            if known is not None:
                seen[line] = functions[known.name] = known
        self._last = seen
        if not facts:
            raise unreadable(b"show stats has no server")
        version = name_text(as_bytes(facts.get("version", "")))
        return Reading(time, version, functions, True, facts, forgotten)


def from_status(lines: Iterable[bytes], version: str, time: float) -> Reading:
    """Return what the lines of `status` say: NAME, jobs, running, workers."""
    functions: dict[bytes, FunctionReading] = {}
    for line in lines:
        found = _STATUS.fullmatch(line)
        if found is None:
            raise unreadable(line)
        name = found[1]
        jobs, running, workers = map(int, found.groups()[1:])
        if len(functions) < MOST_FUNCTIONS:
            functions[name] = FunctionReading(
                name, workers=workers, running=running, queued=max(jobs - running, 0)
            )
    return Reading(time, version, functions, counts=False)


def worker(line: bytes) -> Worker:
    """Return the connection that a line of `workers` tells of.

    It is `DESCRIPTOR ADDRESS ID : FUNCTION FUNCTION`; an id may have blanks.
    """
    found = _WORKER.fullmatch(line)
    if found is None:
        raise unreadable(line)
    descriptor, address, client_id, functions = found.groups(b"")
    return Worker(
        int(descriptor),
        address.decode(errors="backslashreplace"),
        client_id.decode(errors="backslashreplace"),
        tuple(functions.split()),
    )


def as_bytes(value: object) -> bytes:
    """Return the bytes of a JSON value: a text, or {"base64": "..."}."""
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    if isinstance(value, Mapping) and isinstance(value.get("base64"), str):
        return b64decode(value["base64"], validate=True)
    raise ValueError("a name must be a text, or an object with base64")


def json_object(line: bytes) -> dict[str, Any]:
    """Return an object that a server sent as a line of JSON. Raises ValueError."""
    try:
        record = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise unreadable(line) from None
    if not isinstance(record, dict):
        raise unreadable(line)
    return record


def _refuse(word: str) -> None:
    """Refuse NaN and Infinity, which are no JSON."""
    raise ValueError(word)


_GAUGES: Final = (
    *("workers", "running", "queued", "scheduled", "awaiting", "pending", "dead"),
)


def _function(record: Mapping[str, Any]) -> FunctionReading:
    return FunctionReading(
        as_bytes(record.get("function")),
        **{name: _number(record, name) for name in _GAUGES},
        held=bool(record.get("held")),
        oldest=seconds(record.get("oldest")),
        unstaffed=seconds(record.get("unstaffed")),
        counters=_counters(record),
    )


def _counters(record: Mapping[str, Any]) -> Counters:
    return Counters(
        waits=_histogram(record.get("waits")),
        runs=_histogram(record.get("runs")),
        **{name: _number(record, name) for name in NUMBERS},
    )


def _histogram(value: object) -> Histogram:
    if not isinstance(value, Mapping):
        return Histogram()
    counts = value.get("counts")
    if not isinstance(counts, list) or len(counts) > BUCKETS:
        return Histogram()
    if not all(isinstance(each, int) and each >= 0 for each in counts):
        return Histogram()
    return Histogram(seconds(value.get("seconds")) or 0.0, tuple(counts))


def _number(record: Mapping[str, Any], name: str) -> int:
    return count(record.get(name))


def count(value: object) -> int:
    """Return a number of things, 0 if it is none."""
    return value if isinstance(value, int) and 0 <= value < _MOST else 0


def as_text(value: object) -> str:
    """Return a JSON text for people, without control characters; empty if it is none.

    It has up to 512 characters of what the server says.
    """
    if not isinstance(value, str):
        return ""
    return name_text(as_bytes(value[:_LONGEST]))


def seconds(value: object) -> float | None:
    """Return a time in seconds, None if it is none."""
    if isinstance(value, int | float) and 0 <= value < _MOST:
        return float(value)
    return None
