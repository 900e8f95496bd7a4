"""Arguments of admin commands that are written `key=value&key=value`."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from ...text import shown

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def parse_query(
    text: bytes, readers: Mapping[str, Callable[[bytes], Any]]
) -> dict[str, Any]:
    """Return what the readers make of the values; all keys may be missing.

    A reader gets a value as it was written. Raises ValueError, with a sentence.
    """
    values: dict[str, Any] = {}
    for part in text.split(b"&") if text else ():
        key, equals, value = part.partition(b"=")
        name = key.decode(errors="replace")
        if not equals or name not in readers:
            raise ValueError(
                f"'{shown(part)}' is none of {', '.join(readers)} with = and a value"
            )
        if name in values:
            raise ValueError(f"{name} is given twice: leave one out")
        values[name] = readers[name](value)
    return values


def unescaped(text: bytes) -> bytes:
    """Return a value with the bytes for which it has %XX. Raises ValueError."""
    if _BAD_ESCAPE.search(text):
        raise ValueError(
            f"'{shown(text)}' must have two hexadecimal digits after each %"
        )
    return unquote_to_bytes(text)


def words(text: bytes) -> list[bytes]:
    """Return the values that are separated by commas. Raises ValueError."""
    return [unescaped(word) for word in text.split(b",")]
