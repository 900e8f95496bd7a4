"""Payloads are bytes that also behave like their text."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from gearman.payload import Payload, as_bytes, as_text

TEXT = Payload("héllo ☃".encode())


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (lambda d: d == b"abc", True),
        (lambda d: d == "abc", True),
        (lambda d: "abc" == d, True),  # noqa: SIM300
        (lambda d: d != "abd", True),
        (lambda d: d < "abd" and d <= "abc" and d > "ab" and d >= "abc", True),
        (lambda d: "b" in d and b"b" in d, True),
        (lambda d: "x" + d, "xabc"),
        (lambda d: d + "x", "abcx"),
        (lambda d: b"x" + d, b"xabc"),
        (lambda d: d + b"x", b"abcx"),
        (lambda d: f"{d}|{d:>4}|%s" % d, "abc| abc|abc"),
        (lambda d: str(d), "abc"),
        (lambda d: repr(d), "b'abc'"),
        (lambda d: d.decode(), "abc"),
        (lambda d: d.encode(), b"abc"),
        (lambda d: d[::-1] == "cba", True),
        (lambda d: d[0], 97),
        (lambda d: list(d), [97, 98, 99]),
        (lambda d: d.split("b") == ["a", "c"], True),
        (lambda d: d.partition("b") == ("a", "b", "c"), True),
        (lambda d: d.replace("b", "x") == "axc", True),
        (lambda d: d.upper() == "ABC", True),
        (lambda d: d.startswith(("x", "ab")), True),
        (lambda d: d.find("c"), 2),
        (lambda d: {"abc": 1}[d], 1),
        (lambda d: {b"abc": 1}[d], 1),
        (lambda d: bytes(d), b"abc"),
        (lambda d: isinstance(d, bytes), True),
        (lambda d: d == object(), False),
        (lambda d: bool(d), True),
    ],
)
def test_a_payload_is_bytes_and_meets_text_as_text(
    expression: Callable[[Payload], Any], value: Any
) -> None:
    found = expression(Payload(b"abc"))
    assert found == value
    assert type(found) is type(value) or isinstance(found, bytes)


def test_text_is_utf_8() -> None:
    assert TEXT == "héllo ☃"
    assert str(TEXT) == "héllo ☃"
    assert TEXT.__contains__("☃")


def test_only_ascii_text_is_found_by_its_payload_in_a_set() -> None:
    assert Payload(b"abc") in {"abc"}
    assert TEXT not in {"héllo ☃"}
    assert TEXT in {TEXT.encode()}


def test_bytes_that_are_no_text_survive_the_way_there_and_back() -> None:
    data = Payload(b"\xff\x00a")
    assert as_bytes(str(data)) == data
    assert as_bytes(as_text(data)) == data
    assert data == str(data)


def test_numbers_and_documents_can_be_read() -> None:
    assert int(Payload(b"12")) == 12
    assert float(Payload(b"1.5")) == 1.5
    assert json.loads(Payload(b'{"a": 1}')) == {"a": 1}
    assert pickle.loads(Payload(pickle.dumps([1]))) == [1]


def test_bytes_are_formatted_as_bytes() -> None:
    assert Payload(b"%s-%d") % ("a", 1) == b"a-1"
    assert Payload(b"%(a)s") % {"a": "x"} == b"x"
    assert b"%s" % Payload(b"a") == b"a"


def test_a_pickle_holds_plain_bytes() -> None:
    assert type(pickle.loads(pickle.dumps(Payload(b"a")))) is bytes


def test_a_copy_is_a_payload() -> None:
    data = Payload(b"a")
    assert copy.copy(data) is data
    assert copy.deepcopy(data) is data


@pytest.mark.parametrize("value", ["é", "é".encode(), bytearray("é".encode())])
def test_text_and_bytes_become_bytes(value: Any) -> None:
    assert as_bytes(value) == "é".encode()


def test_what_is_neither_text_nor_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="expected str or bytes, not int: 5"):
        as_bytes(5)
