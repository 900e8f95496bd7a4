"""The kinds of values that options have: how they are read and written."""

import re
from collections.abc import Callable, Iterable
from math import ulp
from typing import Any, Final, NamedTuple

from ..commands import MAX_FUNCTION, MAX_HANDLE
from .model import DEFAULT_BACKOFF, Backoff, Dead, Rate

# Handles that a job may wait for.
MAX_AFTER: Final = 1000
# Servers that a job may have come through.
MAX_VIA: Final = 16
# Seconds: 100 years.
MAX_TIME: Final = 36525 * 86400.0

# The last second of the year 9999; calendars end there.
_LAST_SECOND: Final = 253402300799.0
_MANY: Final = 2**31 - 1
_ABOVE_0: Final = ulp(0.0)


class Kind(NamedTuple):
    """How values are read and written.

    `read` makes a value of a text; it raises ValueError or LookupError if that is not
    allowed. `write` is its inverse, for values of the types `native`. A native value is
    first written and then read, so that there is one place that checks; `write` raises
    TypeError or ValueError if there is no text for it. `allowed` continues the sentence
    "it must be ...".
    """

    allowed: str
    read: Callable[[bytes], object]
    write: Callable[[Any], bytes]
    native: tuple[type, ...]


_NUMBER = re.compile(rb"[0-9]{1,12}(\.[0-9]{1,24})?(e-[0-9]{1,3})?")
_WHOLE = re.compile(rb"[0-9]{1,10}")
_HANDLE = re.compile(rb"[!-+\--~]{1,%d}" % (MAX_HANDLE - 1))
_TRACE = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_FLAGS: Final = {b"0": False, b"1": True}
_PRIORITIES: Final = (b"high", b"normal", b"low")
_UNITS: Final = {b"s": 1.0, b"m": 60.0, b"h": 3600.0}


def _read_number(text: bytes, low: float = 0.0, high: float = MAX_TIME) -> float:
    if not _NUMBER.fullmatch(text) or not low <= float(text) <= high:
        raise ValueError
    return float(text)


def _write_number(value: float) -> bytes:
    if isinstance(value, int) and value.bit_length() > 64:
        # Python does not write the largest ones.
        return b"a number of %d bits" % value.bit_length()
    return repr(value).removesuffix(".0").encode()


def _number(low: float, high: float, allowed: str) -> Kind:
    return Kind(
        allowed,
        lambda text: _read_number(text, low, high),
        _write_number,
        (int, float),
    )


def whole(low: int, high: int = _MANY) -> Kind:
    """Return the kind of whole numbers from `low` to `high`."""

    def read(text: bytes) -> int:
        if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    allowed = f"a whole number from {low} to {high}"
    return Kind(allowed, read, _write_number, (int,))


def _read_priority(text: bytes) -> int:
    return _PRIORITIES.index(text.lower())


def _write_priority(value: int) -> bytes:
    return _PRIORITIES[value] if value in range(3) else _write_number(value)


def _read_backoff(text: bytes) -> Backoff:
    kind, *times = text.split(b":")
    seconds, *most = map(_read_number, times)
    if kind == b"fixed" and not most:
        return Backoff("fixed", seconds, seconds)
    if kind != b"exponential" or len(most) > 1:
        raise ValueError
    longest = most[0] if most else max(seconds, DEFAULT_BACKOFF.longest)
    if longest < seconds:
        raise ValueError
    return Backoff("exponential", seconds, longest)


def _write_backoff(value: Backoff) -> bytes:
    seconds, longest = map(_write_number, (value.seconds, value.longest))
    text = value.kind.encode() + b":" + seconds
    return text if value.kind == "fixed" else text + b":" + longest


def _read_dead(text: bytes) -> Dead:
    if text in (b"list", b"none"):
        return Dead(text.decode())
    kind, _, function = text.partition(b":")
    if kind != b"function" or b"\0" in function:
        raise ValueError
    if not 1 <= len(function) <= MAX_FUNCTION:
        raise ValueError
    return Dead("function", function)


def _write_dead(value: Dead) -> bytes:
    kind = value.kind.encode()
    return kind + b":" + value.function if value.kind == "function" else kind


def _read_after(text: bytes) -> tuple[bytes, ...]:
    handles = tuple(text.split(b","))
    if len(handles) > MAX_AFTER or not all(map(_HANDLE.fullmatch, handles)):
        raise ValueError
    return handles


def _write_after(value: Iterable[str | bytes]) -> bytes:
    handles = [each.encode() if isinstance(each, str) else each for each in value]
    if any(b"," in handle for handle in handles):
        raise ValueError
    return b",".join(handles)


def _read_via(text: bytes) -> tuple[bytes, ...]:
    names = tuple(text.split(b","))
    if len(names) > MAX_VIA or not all(map(_HANDLE.fullmatch, names)):
        raise ValueError
    return names


def _read_trace(text: bytes) -> str:
    if not _TRACE.fullmatch(text):
        raise ValueError
    return text.decode()


def _read_rate(text: bytes) -> Rate:
    count, _, unit = text.partition(b"/")
    return Rate(_read_number(count, _ABOVE_0, _MANY), _UNITS[unit])


def _write_rate(value: Rate) -> bytes:
    units = {seconds: unit for unit, seconds in _UNITS.items()}
    unit = units.get(value.seconds) or _write_number(value.seconds)
    return _write_number(value.count) + b"/" + unit


TIME: Final = _number(0.0, MAX_TIME, "a number of seconds, at most 100 years")
POSITIVE: Final = _number(
    _ABOVE_0, MAX_TIME, "a number of seconds above 0, at most 100 years"
)
MOMENT: Final = _number(0.0, _LAST_SECOND, "a time in seconds since 1970")
FLAG: Final = Kind(
    "0 or 1 (in a settings file also true or false)",
    _FLAGS.__getitem__,
    lambda value: b"%d" % value,
    (bool,),
)
PRIORITY: Final = Kind("high, normal or low", _read_priority, _write_priority, (int,))
BACKOFF: Final = Kind(
    "fixed:SECONDS or exponential:SECONDS or exponential:SECONDS:LONGEST, where LONGEST"
    " is not below SECONDS",
    _read_backoff,
    _write_backoff,
    (Backoff,),
)
DEAD: Final = Kind("list, none or function:NAME", _read_dead, _write_dead, (Dead,))
AFTER: Final = Kind(
    f"at most {MAX_AFTER} handles of jobs, with commas between them",
    _read_after,
    _write_after,
    (list, tuple),
)
TRACEPARENT: Final = Kind(
    "a W3C traceparent, such as 00-(32 hex digits)-(16 hex digits)-01",
    _read_trace,
    str.encode,
    (),
)
VIA: Final = Kind(
    f"at most {MAX_VIA} names of servers, with commas between them",
    _read_via,
    b",".join,
    (tuple,),
)
RATE: Final = Kind(
    "a number of jobs in a second, minute or hour, such as 100/s, 5/m or 10/h",
    _read_rate,
    _write_rate,
    (Rate,),
)
