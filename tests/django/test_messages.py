"""Calls and results as bytes."""

import pytest

from gearman.django import messages
from gearman.django.messages import Failure, Record

FULL = Record(
    "shop.tasks.mail",
    "mail",
    7,
    "2030-01-01T00:00:00+00:00",
    "2029-01-01T00:00:00+00:00",
    "2030-01-01T00:00:01+00:00",
    "2030-01-01T00:00:02+00:00",
    ["a", "b"],
    "builtins.ValueError",
    {"return": "ü"},
    [1, '","args":'],
    {"two": None},
)


@pytest.mark.parametrize("record", [FULL, Record("shop.tasks.mail")])
def test_record_travels(record: Record) -> None:
    data = messages.dump(record)
    assert messages.load(data) == record
    assert messages.load_beginning(data.decode()) == record
    assert messages.split(f"x\n{messages.note(record)}\n") == ("x\n", record)


def test_beginning_of_a_record_tells_the_task() -> None:
    record = Record('an ","args":', "mail", args=["x" * 100])
    cut = messages.dump(record)[:-50].decode()
    assert messages.load_beginning(cut) == Record('an ","args":', "mail")


@pytest.mark.parametrize("data", ["", "1", "[]", "{}", '{"task": null}', "{"])
def test_other_data_is_no_record(data: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        messages.load(data.encode())
    with pytest.raises(ValueError):  # noqa: PT011
        messages.load_beginning(data)


@pytest.mark.parametrize(
    "text", ["", "Traceback\nValueError: x\n", f"x\n{messages.NOTE}{{\n"]
)
def test_traceback_may_have_no_record(text: str) -> None:
    assert messages.split(text) == (text, None)
    assert Failure.of("a.B", text) == Failure("a.B", text, None)


def test_failure_has_the_exception_of_the_record() -> None:
    text = f"Traceback\n{messages.note(FULL)}\n"
    failure = Failure.of("gearman.django.running.TaskExited", text)
    assert failure == Failure("builtins.ValueError", "Traceback\n", FULL)
