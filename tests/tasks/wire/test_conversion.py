"""Values of Python's types become JSON, and come back by their annotations."""

import json
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import pytest

from gearman.tasks.wire.conversion import from_json, to_json


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Line:
    points: list[Point]
    drawn: datetime | None = None
    tags: set[str] = field(default_factory=set)


class Color(Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 2


class Model:
    """It has the methods of a model of pydantic."""

    def __init__(self, name: str) -> None:
        self.name = name

    def model_dump(self, mode: str) -> dict[str, str]:
        return {"name": self.name, "mode": mode}

    @classmethod
    def model_validate(cls, value: dict[str, str]) -> "Model":
        return cls(value["name"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and other.name == self.name


NOON = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)  # noqa: UP017
ID = UUID("12345678123456781234567812345678")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 1),
        (Any, {"a": [1]}),
        (Literal["a"], "a"),
        (Point, Point(1, 2)),
        (Line, Line([Point(1), Point(2, 3)], NOON, {"a"})),
        (Line, Line([])),
        (list[Point], [Point(1)]),
        (list[int], [1, 2]),
        (Sequence[Point], [Point(1)]),
        (Iterable[int], [1]),
        (dict[str, Point], {"a": Point(1)}),
        (dict[str, int], {"a": 1}),
        (Mapping[str, Point], {"a": Point(1)}),
        (dict, {"a": 1}),
        (tuple, (1, 2)),
        (tuple[int, Point], (1, Point(2))),
        (tuple[Point, ...], (Point(1), Point(2))),
        (tuple[int, ...], (1, 2)),
        (set, {1, 2}),
        (set[int], {1, 2}),
        (frozenset[UUID], frozenset({ID})),
        (AbstractSet[int], {1}),
        (Optional[Point], Point(1)),  # noqa: UP045
        (Point | None, None),
        (int | str, "a"),
        (Point | UUID, ID),
        (list[int] | Point | Any, 3),
        (UUID | list[int], [1]),
        (Annotated[Point, "a point"], Point(1)),
        (datetime, NOON),
        (date, NOON.date()),
        (time, time(12, 30)),
        (timedelta, timedelta(seconds=1.5)),
        (UUID, ID),
        (Decimal, Decimal("1.10")),
        (Path, Path("/tmp")),
        (Color, Color.RED),
        (Size, Size.BIG),
        (Model, Model("a")),
        (type[int] | None, None),
    ],
    ids=str,
)
def test_a_value_comes_back(kind: Any, value: object) -> None:
    read = json.loads(json.dumps(value, default=to_json))
    convert = from_json(kind)
    found = read if convert is None else convert(read)
    assert found == value
    assert type(found) is type(value)


def test_a_pure_path_comes_back_as_a_path() -> None:
    convert = from_json(PurePosixPath)
    assert convert is not None
    assert convert(to_json(PurePosixPath("a"))) == Path("a")


@pytest.mark.parametrize("value", [object(), b"bytes", Point, 1j])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="has no form in JSON"):
        to_json(value)


def test_a_dataclass_needs_an_object() -> None:
    convert = from_json(Point)
    assert convert is not None
    with pytest.raises(TypeError, match="Point needs a JSON object, not int"):
        convert(3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        convert({"x": 1, "z": 2})


def test_a_value_that_is_in_no_part_of_a_union_is_refused() -> None:
    convert = from_json(Point | UUID | None)
    assert convert is not None
    with pytest.raises(TypeError, match="'neither' is none of"):
        convert("neither")
