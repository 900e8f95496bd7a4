"""Numbers, times and names as a reader likes them."""

from typing import Final
from urllib.parse import quote_from_bytes

from ..text import printable

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def number(value: float) -> str:
    """Return a whole number with commas: 12,345."""
    return f"{value:,.0f}"


def rate(value: float) -> str:
    """Return a number per second: with fractions, if it is small."""
    return f"{value:,.0f}" if value >= 100 or not value else f"{value:.2g}"


def duration(seconds: float) -> str:
    """Return a time with two units at most: 3 d 4 h, 5 min 6 s, 1.2 s, 12 ms."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = max(int(seconds), 60)
    place = next(place for place, (size, _) in enumerate(_UNITS) if whole >= size)
    (size, unit), (lower, name) = _UNITS[place : place + 2]
    rest = whole % size // lower
    return f"{whole // size} {unit}" + (f" {rest} {name}" if rest else "")


def size(value: float) -> str:
    """Return a number of bytes: 512 B, 1.5 KiB, 20 MiB."""
    unit = "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return (
        f"{value:,.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
    )


def name_text(name: bytes) -> str:
    r"""Return a name for people: control characters and what is no UTF-8 as \xNN."""
    return printable(name).decode(errors="backslashreplace")


def query_text(name: bytes) -> str:
    """Return a name as a value in the query of a URL."""
    return quote_from_bytes(name, safe="")
