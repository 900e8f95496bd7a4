"""Arguments and results as bytes: the forms that other languages write and read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pydantic
import pytest

from gearman.tasks.wire.serializers import Arguments, Name, Serializer, serializer
from gearman.tasks.wire.signatures import signature_of

ID = UUID("12345678123456781234567812345678")


@dataclass
class Point:
    x: int
    y: int = 0


def made(function: Callable[..., Any], name: Name | None = None) -> Serializer:
    return serializer(name, signature_of(function))


def resize(path: str, width: int = 800) -> str:
    return path


def move(point: Point, *more: Point, by: Point, **others: Point) -> Point:
    return point


def reverse(data: bytes) -> bytes:
    return data[::-1]


@pytest.mark.parametrize(
    ("workload", "arguments"),
    [
        (b"", ([], {})),
        (b'{"args": ["a"], "kwargs": {"width": 1}}', (["a"], {"width": 1})),
        (b'{"args": ["a"]}', (["a"], {})),
        (b'{"kwargs": {"path": "a"}}', ([], {"path": "a"})),
        (b'{"args": ["a"], "kwargs": []}', (["a"], {})),
        (b'["a", 1]', (["a", 1], {})),
        (b'{"path": "a", "width": 1}', ([], {"path": "a", "width": 1})),
        (b'{"args": [], "other": 1}', ([], {"args": [], "other": 1})),
        (b"{}", ([], {})),
        (b'"a"', (["a"], {})),
        (b"null", ([None], {})),
    ],
)
def test_json_is_read_in_all_forms(
    workload: bytes, arguments: tuple[list[Any], dict[str, Any]]
) -> None:
    found = made(resize).load_arguments(workload)
    assert (list(found.args), dict(found.kwargs)) == arguments


@pytest.mark.parametrize(
    "workload",
    [
        b"{",
        b"[] 1",
        b'{"args": 1}',
        b'{"kwargs": [1]}',
        b'{"args": [], "results_of": 1}',
        b"\xff",
    ],
)
def test_a_wrong_workload_is_refused(workload: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        made(resize).load_arguments(workload)


def test_json_is_written_in_the_long_form() -> None:
    workload = made(resize).dump_arguments(("ü",), {"width": 1})
    assert workload == '{"args":["ü"],"kwargs":{"width":1}}'.encode()
    workload = made(resize).dump_arguments((), {}, ["H:1"])
    assert workload == b'{"args":[],"kwargs":{},"results_of":["H:1"]}'


def test_what_json_does_not_have_is_not_written() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        made(resize).dump_arguments((float("nan"),), {})


def test_arguments_of_all_kinds_are_converted() -> None:
    json = made(move)
    kwargs = {"by": Point(4), "other": Point(5)}
    workload = json.dump_arguments((Point(1), Point(2), Point(3)), kwargs)
    assert json.load_arguments(workload) == Arguments(
        [Point(1), Point(2), Point(3)], kwargs
    )


def test_a_name_without_a_conversion_is_left() -> None:
    def task(number: int, point: Point | None = None) -> None: ...

    json = made(task)
    assert json.load_arguments(b"[1]") == ([1], {}, ())
    assert json.load_arguments(b'{"number": 1, "point": {"x": 2}, "no": 3}') == (
        [],
        {"number": 1, "point": Point(2), "no": 3},
        (),
    )


def test_more_arguments_than_parameters_are_left_to_the_function() -> None:
    def task(point: Point) -> None: ...

    found = made(task).load_arguments(b'[{"x": 1}, 2, 3]')
    assert found.args == [Point(1), 2, 3]


def test_a_result_comes_back_by_its_annotation() -> None:
    json = made(move)
    assert json.dump_result(Point(1)) == b'{"x":1,"y":0}'
    assert json.load_result(json.dump_result(Point(1))) == Point(1)
    assert made(resize).load_result(b"") is None


def test_a_result_that_is_bytes_travels_raw() -> None:
    def task(path: str) -> bytes:
        return b""

    json = made(task)
    assert json.dump_result(b"\xff") == b"\xff"
    assert json.load_result(b"\xff") == b"\xff"
    with pytest.raises(TypeError, match="bytes, str or None is needed, not int"):
        json.dump_result(1)


def test_results_of_other_jobs_are_the_first_argument() -> None:
    def task(points: list[Point], last: Point, *, by: UUID) -> None: ...

    json = made(task)
    workload = json.dump_arguments((Point(9),), {"by": ID}, ["H:1", "H:2"])
    assert json.load_arguments(workload) == ([Point(9)], {"by": ID}, ("H:1", "H:2"))
    assert json.load_results([b'{"x":1}', b'{"x":2}']) == [Point(1), Point(2)]
    assert made(resize).load_results([b"1", b""]) == [1, None]


def test_bytes_travel_as_they_are() -> None:
    raw = made(reverse)
    assert raw.dump_arguments((b"\xff",), {}) == b"\xff"
    assert raw.dump_arguments((), {"data": memoryview(b"a")}) == b"a"
    assert raw.load_arguments(b"\xff").args == (b"\xff",)
    assert raw.load_result(raw.dump_result("ü")) == "ü".encode()
    assert raw.results == "bytes"


def test_bytes_may_be_text_and_results_of_other_types() -> None:
    def text(data: str) -> str:
        return data

    def nothing(data: bytes) -> None: ...
    def number(data: bytes) -> int:
        return len(data)

    assert made(text, "bytes").load_arguments("ü".encode()).args == ("ü",)
    assert made(text, "bytes").load_result("ü".encode()) == "ü"
    assert made(nothing).load_result(made(nothing).dump_result(None)) is None
    assert made(number).load_result(made(number).dump_result(3)) == 3
    assert made(number).results == "json"


def test_bytes_are_for_one_parameter_and_no_results() -> None:
    with pytest.raises(TypeError, match="a task of bytes has one parameter, not 2"):
        made(resize, "bytes")
    with pytest.raises(TypeError, match="cannot have the results of other jobs"):
        made(reverse).dump_arguments((b"",), {}, ["H:1"])
    with pytest.raises(TypeError, match="cannot have the results of other jobs"):
        made(reverse).load_results([])


def test_pickle_is_for_any_object() -> None:
    pickle = made(move, "pickle")
    workload = pickle.dump_arguments((Point(1),), {"by": {1, 2j}}, ["H:1"])
    assert pickle.load_arguments(workload) == ((Point(1),), {"by": {1, 2j}}, ["H:1"])
    assert pickle.load_result(pickle.dump_result(2j)) == 2j
    assert pickle.load_results([pickle.dump_result(2j)]) == [2j]


def test_another_serializer_is_refused() -> None:
    with pytest.raises(ValueError, match="json, bytes or pickle, not 'yaml'"):
        made(resize, "yaml")  # type: ignore[arg-type]


def test_pydantic_models_travel_by_their_annotation() -> None:
    class Mail(pydantic.BaseModel):
        to: str
        count: int = 1

    def send(mail: Mail) -> Mail:
        return mail

    json = made(send)
    mail = Mail(to="a")
    workload = json.dump_arguments((mail,), {})
    assert workload == b'{"args":[{"to":"a","count":1}],"kwargs":{}}'
    assert json.load_arguments(workload).args == [mail]
    assert json.load_result(json.dump_result(mail)) == mail
    with pytest.raises(ValueError, match="count"):
        json.load_arguments(b'[{"to": "a", "count": "many"}]')
