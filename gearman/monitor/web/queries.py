"""The query of a request: which parameters there are, and reading them.

Names of functions are bytes: %XX stands for any byte, UTF-8 or not.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from .problems import Problem
from .schema import Schema

# A name of a function has up to 512 bytes, as a server takes it; a handle fewer.
LONGEST: Final = 1024


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: its values are bytes if `is_bytes`.

    `default` counts if it is not given. A schema has a type, and may have an enum, or a
    minimum and a maximum.
    """

    meaning: str
    schema: Schema
    default: Any = None
    required: bool = False
    is_bytes: bool = False


def name(meaning: str, *, required: bool = False) -> Parameter:
    """Return a parameter whose value is any bytes; without it, it is empty."""
    schema = {"type": "string", "maxLength": LONGEST, "minLength": int(required)}
    return Parameter(meaning, schema, b"", required, is_bytes=True)


def text(meaning: str, *, required: bool = False) -> Parameter:
    schema = {"type": "string", "maxLength": LONGEST, "minLength": int(required)}
    return Parameter(meaning, schema, "", required)


def words(meaning: str, allowed: Iterable[str]) -> Parameter:
    """Return a parameter with words that have commas between them; it may be empty."""
    word = "|".join(allowed)
    schema = {"type": "string", "pattern": f"^(({word})(,({word}))*)?$"}
    return Parameter(meaning, schema, "")


def choice(meaning: str, words: list[str], default: str) -> Parameter:
    schema = {"type": "string", "enum": words, "default": default}
    return Parameter(meaning, schema, default)


def integer(meaning: str, default: int, lowest: int, highest: int) -> Parameter:
    schema = {
        "type": "integer",
        "minimum": lowest,
        "maximum": highest,
        "default": default,
    }
    return Parameter(meaning, schema, default)


def read(query: bytes, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the values of all parameters. Raises Problem."""
    values = {key: each.default for key, each in parameters.items()}
    found: set[str] = set()
    for part in filter(None, query.split(b"&")):
        key_text, _, value = part.partition(b"=")
        key = _unquoted(key_text).decode(errors="replace")
        if key not in parameters:
            known = ", ".join(parameters) or "none at all"
            raise Problem(400, f"{key[:80]!r} is no parameter: there are {known}")
        if key in found:
            raise Problem(400, f"{key} is given twice")
        found.add(key)
        values[key] = _value(key, parameters[key], _unquoted(value))
    for key, each in parameters.items():
        if each.required and key not in found:
            raise Problem(400, f"{key} is missing: {each.meaning}")
    return values


def _unquoted(value: bytes) -> bytes:
    return unquote_to_bytes(value.replace(b"+", b" "))


def _value(key: str, parameter: Parameter, value: bytes) -> Any:
    schema = parameter.schema
    if schema["type"] == "integer":
        number = int(value) if value.isdigit() and len(value) < 19 else -1
        if not schema["minimum"] <= number <= schema["maximum"]:
            limits = f"{schema['minimum']} to {schema['maximum']}"
            raise Problem(400, f"{key} must be a number from {limits}")
        return number
    if len(value) > LONGEST:
        raise Problem(400, f"{key} has more than {LONGEST} bytes")
    if not value and parameter.required:
        raise Problem(400, f"{key} is empty: {parameter.meaning}")
    if parameter.is_bytes:
        return value
    try:
        decoded = value.decode()
    except UnicodeDecodeError:
        raise Problem(400, f"{key} must be UTF-8") from None
    if "pattern" in schema and not re.fullmatch(schema["pattern"], decoded):
        raise Problem(400, f"{key} must be {parameter.meaning}")
    if "enum" in schema and decoded not in schema["enum"]:
        raise Problem(400, f"{key} must be one of {', '.join(schema['enum'])}")
    return decoded
