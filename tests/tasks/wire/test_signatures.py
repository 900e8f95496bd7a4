"""Arguments are checked against a signature, with Python's own messages."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.tasks.wire.signatures import checker, signature_of


def plain(a: int, b: int = 2) -> None: ...
def only(a: int, /, b: int, *, c: int, d: int = 1) -> None: ...
def first(a: int, /) -> None: ...
def rest(a: int, *others: int, c: int = 1, **more: int) -> None: ...
def named(*, a: int) -> None: ...


def refusal(
    function: Callable[..., Any], args: list[int], kwargs: dict[str, int]
) -> str:
    try:
        function(*args, **kwargs)
    except TypeError as error:
        return str(error)
    return ""


FUNCTIONS: list[Callable[..., Any]] = [plain, only, first, rest, named]


@given(
    st.sampled_from(FUNCTIONS),
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from("abcde"), st.integers()),
)
def test_a_checker_accepts_what_the_function_accepts(
    function: Callable[..., Any], args: list[int], kwargs: dict[str, int]
) -> None:
    check = checker(function.__name__, inspect.signature(function))
    assert refusal(check, args, kwargs) == refusal(function, args, kwargs)


def test_annotations_in_quotes_are_resolved() -> None:
    def task(data: "bytes") -> "int":
        return 1

    signature = signature_of(task)
    assert signature.parameters["data"].annotation is bytes
    assert signature.return_annotation is int


def test_an_unknown_annotation_stays() -> None:
    def task(data: "Unknown") -> None:  # type: ignore[name-defined]  # noqa: F821
        pass

    assert signature_of(task).parameters["data"].annotation == "Unknown"


def test_a_function_without_a_signature_is_no_task() -> None:
    with pytest.raises(TypeError, match="a task needs a function with a signature"):
        signature_of(type)
