"""Python's values that JSON does not have: how they become JSON, and come back.

They become JSON by their type, and come back by the annotation of the parameter or of
the result. Without an annotation, what JSON has is passed on as it is.
"""

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, partial
from pathlib import Path, PurePath
from typing import (
    Annotated,
    Any,
    Final,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

Convert = Callable[[Any], Any]

_LISTS: Final[dict[Any, Convert]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    Sequence: list,
    Iterable: list,
    AbstractSet: set,
}
_MAPPINGS: Final = (dict, Mapping)
_TEXTS: Final = (UUID, Decimal, PurePath)
_TIMES: Final[tuple[type, ...]] = (datetime, date, time)


def to_json(value: Any) -> Any:
    """Return what stands in JSON for a value of another type; raise TypeError."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    dump = getattr(type(value), "model_dump", None)
    if dump is not None:
        return dump(value, mode="json")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, _TIMES):
        return value.isoformat()  # type: ignore[attr-defined]
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, _TEXTS):
        return str(value)
    if isinstance(value, AbstractSet):
        return list(value)
    raise TypeError(
        f"{type(value).__name__} has no form in JSON: pass a str, number, list, dict,"
        ' or dataclass, or use serializer="pickle"'
    )


@cache
def from_json(kind: Any) -> Convert | None:
    """Return the function that makes a value of this type from JSON; None if none."""
    origin = get_origin(kind)
    if origin is Annotated:
        return from_json(get_args(kind)[0])
    if origin in (Union, types.UnionType):
        return _union(get_args(kind))
    if origin is not None or not isinstance(kind, type):
        return _generic(origin, get_args(kind))
    return _plain(kind)


def _plain(kind: type) -> Convert | None:
    validate: Convert | None = getattr(kind, "model_validate", None)
    if validate is not None:
        return validate
    if is_dataclass(kind):
        return partial(_make, kind)
    if issubclass(kind, _TIMES):
        parse: Convert = kind.fromisoformat  # type: ignore[attr-defined]
        return parse
    if kind is timedelta:
        return lambda seconds: timedelta(seconds=seconds)
    if kind in (set, frozenset, tuple) or issubclass(kind, (Enum, UUID, Decimal)):
        return kind
    return Path if issubclass(kind, PurePath) else None


def _make(kind: Any, value: Any) -> Any:
    """Make a dataclass of a JSON object. Raises TypeError if it does not fit."""
    if not isinstance(value, dict):
        raise TypeError(
            f"{kind.__name__} needs a JSON object, not {type(value).__name__}"
        )
    converts = _fields(kind)
    return kind(
        **{
            name: convert(each) if (convert := converts.get(name)) else each
            for name, each in value.items()
        }
    )


@cache
def _fields(kind: Any) -> dict[str, Convert | None]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: from_json(hints[field.name]) for field in fields(kind)}


def _generic(origin: Any, arguments: tuple[Any, ...]) -> Convert | None:
    if origin is tuple:
        return _tuple(arguments)
    if origin in _MAPPINGS:
        convert = from_json(arguments[1])
        return None if convert is None else partial(_mapping, convert)
    made = _LISTS.get(origin)
    if made is None:
        return None
    convert = from_json(arguments[0])
    if convert is None:
        return None if made is list else made
    return partial(_list, made, convert)


def _list(made: Convert, convert: Convert, values: Iterable[Any]) -> Any:
    return made(map(convert, values))


def _mapping(convert: Convert, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: convert(value) for name, value in values.items()}


def _tuple(kinds: tuple[Any, ...]) -> Convert:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        every = from_json(kinds[0])
        return tuple if every is None else partial(_list, tuple, every)
    converts = [from_json(kind) for kind in kinds]
    return lambda values: tuple(
        value if convert is None else convert(value)
        for convert, value in zip(converts, values, strict=True)
    )


def _union(kinds: tuple[Any, ...]) -> Convert | None:
    """Return a function that makes the first type of a union that fits."""
    converts = [(kind, from_json(kind)) for kind in kinds]
    if all(convert is None for _, convert in converts):
        return None
    return partial(_first_that_fits, converts)


def _first_that_fits(kinds: list[tuple[Any, Convert | None]], value: Any) -> Any:
    for kind, convert in kinds:
        if convert is None:
            if _is_a(value, kind):
                return value
            continue
        try:
            return convert(value)
        except (TypeError, ValueError, ArithmeticError, AttributeError):
            continue
    names = ", ".join(str(kind) for kind, _ in kinds)
    raise TypeError(f"{value!r:.80} is none of {names}")


def _is_a(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    kind = get_origin(kind) or kind
    return isinstance(kind, type) and isinstance(value, kind)
