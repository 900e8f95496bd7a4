"""Options and policies from text and from Python's values, and back to text."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ..errors import OptionError
from ..text import shown
from .keys import JOB, KEYS, KEYS_OF, POLICY
from .kinds import Kind
from .model import JobOptions, Policy

# Bytes of the text of all options of a job.
MAX_OPTIONS: Final = 64 * 1024

# Bytes of a text that is remembered.
_SHORT: Final = 256
_NO_DIGITS: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def parse_job_options(text: bytes) -> JobOptions:
    """Return the options in a text. Raises OptionError.

    Equal short texts have one result, so that the jobs of a client share it.
    """
    return _remembered(text) if len(text) <= _SHORT else _job_options(text)


def _job_options(text: bytes) -> JobOptions:
    options = JobOptions(**_parsed(text, JOB))
    if len(text) > MAX_OPTIONS // 4:
        # Their text may be longer when it is written again: encoding triples bytes.
        format_options(options)
    return options


_remembered: Final = lru_cache(maxsize=256)(_job_options)


def parse_policy(text: bytes) -> Policy:
    """Return the policy in a text. Raises OptionError."""
    return Policy(**_parsed(text, POLICY))


def job_options(values: Mapping[str, object]) -> JobOptions:
    """Return the options in a mapping of Python's values. Raises OptionError.

    Names may have underscores instead of hyphens. A value is a number, a bool, a list
    of handles, an object such as Backoff, or the text that stands for it; None is not
    set. An empty list of handles is not set either.
    """
    return JobOptions(**_native(values, JOB))


def policy(values: Mapping[str, object]) -> Policy:
    """Return the policy in a mapping, as `job_options` does. Raises OptionError."""
    return Policy(**_native(values, POLICY))


def format_options(options: JobOptions | Policy) -> bytes:
    """Return the text of options or of a policy.

    Raises OptionError if it is longer than MAX_OPTIONS.
    """
    parts = []
    for key in KEYS:
        value = getattr(options, key.field, None)
        if value is not None and value != ():
            text = quote_from_bytes(key.kind.write(value), safe=":,/")
            parts.append(f"{key.name}={text}")
    return _of_allowed_length("&".join(parts).encode())


def _parsed(text: bytes, what: str) -> dict[str, Any]:
    values: dict[str, object] = {}
    for name, value in split_pairs(_of_allowed_length(text)):
        _add(values, name, value, what)
    return values


def split_pairs(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the keys and values of `key=value&key=value`, decoded.

    Raises OptionError.
    """
    for part in text.split(b"&") if text else ():
        name, equals, value = part.partition(b"=")
        if not equals:
            raise OptionError(f"'{shown(part)}' must be key=value, and has no =")
        yield _decoded(name).decode(errors="backslashreplace"), _decoded(value)


def _native(given: Mapping[str, object], what: str) -> dict[str, Any]:
    values: dict[str, object] = {}
    for name, value in given.items():
        if value is not None and value not in ([], ()):
            _add(values, name.replace("_", "-"), value, what)
    return values


def _add(values: dict[str, object], name: str, value: object, what: str) -> None:
    """Add a value by the field of its key. Raises OptionError."""
    key = KEYS_OF[what].get(name)
    if key is None:
        known = ", ".join(KEYS_OF[what])
        raise OptionError(f"{_quoted(name)} is no {what}: there are {known}")
    if key.field in values:
        raise OptionError(f"{name} is given twice: leave one out")
    values[key.field] = value_of(name, value, key.kind)


def value_of(name: str, value: object, kind: Kind) -> Any:
    """Return the value of a kind that a text or one of Python's values stands for.

    Raises OptionError, whose text begins with `name`.
    """
    text = None
    try:
        text = _text(value, kind)
        return kind.read(text)
    except (TypeError, ValueError, LookupError):
        found = f"this {type(value).__name__}" if text is None else f"'{shown(text)}'"
        raise OptionError(f"{name} must be {kind.allowed}, not {found}") from None


def _text(value: object, kind: Kind) -> bytes:
    """Return the text for a value; TypeError or ValueError if there is none."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        # The command line's arguments have surrogates for bytes that are not UTF-8.
        return value.encode(errors="surrogateescape")
    # A bool is an int, too.
    if not isinstance(value, kind.native) or (
        isinstance(value, bool) and bool not in kind.native
    ):
        raise TypeError
    return kind.write(value)


def _quoted(name: str) -> str:
    return f"'{shown(name.encode(errors='replace'))}'"


def _decoded(text: bytes) -> bytes:
    if b"%" not in text:
        return text
    if _NO_DIGITS.search(text):
        raise OptionError(
            f"'{shown(text)}' must have two hexadecimal digits after each %"
        )
    return unquote_to_bytes(text)


def _of_allowed_length(text: bytes) -> bytes:
    if len(text) > MAX_OPTIONS:
        raise OptionError(
            f"options must have at most {MAX_OPTIONS} bytes, not {len(text)}"
        )
    return text
