"""What templates need beside the filters of `text`: times, jobs, workloads."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ....text import printable
from ...model.readings import as_bytes, seconds
from ...text import duration, name_text, number, query_text, size

# Bytes of a workload that a page shows.
MOST_SHOWN: Final = 16 * 1024
_WIDTH: Final = 16


def moment(seconds: float) -> str:
    """Return a time in seconds since 1970 in full, as UTC."""
    found = _datetime(seconds)
    return "?" if found is None else f"{found:%Y-%m-%d %H:%M:%S} UTC"


def iso(seconds: float) -> str:
    """Return a time as the attribute `datetime` has it."""
    found = _datetime(seconds)
    return "" if found is None else f"{found:%Y-%m-%dT%H:%M:%SZ}"


def _datetime(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def ago(seconds: float) -> str:
    """Return how far a time is from now, for people."""
    distance = time.time() - seconds
    if abs(distance) < 1:
        return "now"
    # One unit is enough, and changes less often.
    text = " ".join(duration(float(round(abs(distance)))).split()[:2])
    return f"{text} ago" if distance > 0 else f"in {text}"


def changed(here: str, **values: object) -> str:
    """Return the address of a page with other parameters; empty ones are left out."""
    path, _, query = here.partition("?")
    parts = [
        part
        for part in query.split("&")
        if part and part.partition("=")[0] not in values
    ]
    for key, value in values.items():
        text = value if isinstance(value, bytes) else str(value).encode()
        if text:
            parts.append(f"{key}={query_text(text)}")
    return f"{path}?{'&'.join(parts)}" if parts else path


def target(server: str, name: bytes) -> str:
    """Return a server and a name as one value of a form."""
    return f"{server} {query_text(name)}"


def limited(value: float, name: str) -> str:
    """Return the value of a limit with the unit that its name means."""
    if any(part in name for part in _BYTES):
        return size(value)
    if any(part in name for part in _SECONDS):
        return duration(value)
    return number(value)


_BYTES: Final = ("memory", "packet", "outbox", "results")
_SECONDS: Final = ("timeout", "-age")


def known(value: object) -> bytes:
    """Return the bytes of a name in an object of a server, empty if there is none."""
    try:
        return as_bytes(value)
    except ValueError:
        return b""


@dataclass(frozen=True, slots=True)
class ShownJob:
    """A job of `list jobs` or `show job`; what the server did not say is None."""

    server: str
    record: Mapping[str, Any]
    handle: bytes
    function: bytes
    unique: bytes

    @property
    def worker(self) -> str:
        """Who has the job, empty if nobody."""
        return _worker(self.record)

    def text(self, name: str) -> str:
        """Return a value that is a text or bytes, for people."""
        return name_text(known(self.record.get(name)))

    def time(self, name: str) -> float | None:
        """Return a time in seconds since 1970."""
        found = self.record.get(name)
        return float(found) if isinstance(found, int | float) else None


def job(server: str, record: Mapping[str, Any]) -> ShownJob:
    """Return a job as templates have it."""
    names = (known(record.get(key)) for key in ("handle", "function", "unique"))
    return ShownJob(server, record, *names)


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """An event of a job; `more` has times, a reason and the worker, as text."""

    time: float
    event: str
    function: bytes
    more: str


def event(record: Mapping[str, Any]) -> ShownEvent:
    """Return an event as templates have it."""
    parts = [
        f"{key} {duration(found)}"
        for key in ("waited", "ran")
        if (found := seconds(record.get(key))) is not None
    ]
    if reason := name_text(known(record.get("reason"))):
        parts.append(reason)
    if worker := _worker(record):
        parts.append(f"at {worker}")
    name = name_text(known(record.get("event")))
    return ShownEvent(
        seconds(record.get("time")) or 0.0,
        name.replace("_", " "),
        known(record.get("function")),
        ", ".join(parts),
    )


def _worker(record: Mapping[str, Any]) -> str:
    """Return who has the job, empty if nobody."""
    found = record.get("worker")
    if not isinstance(found, Mapping):
        return ""
    client = name_text(known(found.get("id")))
    address = str(found.get("address", ""))
    return f"{client} ({address})" if client not in ("", "-") else address


@dataclass(frozen=True, slots=True)
class ShownBytes:
    """The beginning of a workload, as text, JSON, or hexadecimal numbers."""

    form: str
    text: str
    left_out: int


def workload(value: bytes, form: str = "", size: int = 0) -> ShownBytes:
    """Return bytes for people. Without a form it is the one that suits them.

    `size` is how many there are, if `value` is only the beginning.
    """
    left_out = max(len(value), size) - min(len(value), MOST_SHOWN)
    part = value[:MOST_SHOWN]
    if form in ("", "json"):
        found = _json(value) if not left_out else None
        if found is not None:
            return ShownBytes("json", found, 0)
    if form in ("", "text") and (text := _plain(part, bool(left_out))) is not None:
        return ShownBytes("text", text, left_out)
    if form in ("text", "json"):
        return ShownBytes("text", _escaped(part), left_out)
    return ShownBytes("hex", _hex(part), left_out)


def _json(value: bytes) -> str | None:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict | list):
        return None
    text = json.dumps(found, indent=2, ensure_ascii=False)
    # Halves of surrogate pairs can't be sent, and control characters not be seen.
    clean = text.encode(errors="backslashreplace").decode()
    return clean if len(clean) <= 4 * MOST_SHOWN else None


def _plain(value: bytes, is_cut: bool) -> str | None:
    """Return bytes as text if they are, but perhaps for the cut last character."""
    for end in range(len(value), max(len(value) - 4, -1), -1):
        try:
            value[:end].decode()
        except UnicodeDecodeError:
            if not is_cut:
                return None
        else:
            plain = value[:end]
            return None if b"\0" in plain else _escaped(plain)
    return None


def _escaped(value: bytes) -> str:
    """Return a text of several lines whose other control characters can be seen."""
    lines = value.split(b"\n")
    return "\n".join(
        "\t".join(
            printable(part).decode(errors="backslashreplace")
            for part in line.removesuffix(b"\r").split(b"\t")
        )
        for line in lines
    )


def _hex(value: bytes) -> str:
    rows = []
    for place in range(0, len(value), _WIDTH):
        row = value[place : place + _WIDTH]
        letters = "".join(chr(each) if 32 <= each < 127 else "." for each in row)
        rows.append(f"{place:06x}  {row.hex(' '):<{3 * _WIDTH - 1}}  {letters}")
    return "\n".join(rows)


FILTERS: Final[Mapping[str, Callable[..., object]]] = {
    "moment": moment,
    "iso": iso,
    "ago": ago,
    "changed": changed,
    "target": target,
    "limited": limited,
}
