"""No error and no log line shows more than the beginning of a payload."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

import gearman
from gearman import protocol
from gearman.admin_client_handler import GearmanAdminClientCommandHandler
from gearman.command_handler import GearmanCommandHandler
from gearman.errors import ProtocolError
from gearman.payload import LIMIT, excerpt

LONG = "x" * 100_000


@pytest.mark.parametrize("value", ["x", b"x", "x" * LIMIT, b"\0" * LIMIT, 5, None])
def test_what_is_short_is_shown_whole(value: Any) -> None:
    assert excerpt(value) == repr(value)


@pytest.mark.parametrize("kind", [str, str.encode, lambda s: bytearray(s.encode())])
def test_of_what_is_long_the_beginning_and_the_size_are_shown(kind: Any) -> None:
    start = kind("x" * LIMIT)
    assert excerpt(kind(LONG)) == f"{start!r}... (100000 in all)"


def test_a_view_is_shown_as_bytes() -> None:
    assert excerpt(memoryview(LONG.encode())).startswith("b'xxx")


def test_of_a_dict_each_value_is_cut() -> None:
    assert excerpt({"a": 1, "data": "é"}) == "{'a': 1, 'data': 'é'}"
    assert len(excerpt({"data": LONG})) < 2 * LIMIT


@pytest.mark.parametrize("value", [[LONG] * 100, {"a": [LONG]}, range(10**9)])
def test_other_objects_are_cut_as_well(value: Any) -> None:
    assert len(excerpt(value)) < 4 * LIMIT


NUMBER: Any = 5
ITEMS: Any = [LONG]
SUBMIT = protocol.GEARMAN_COMMAND_SUBMIT_JOB


def not_binary() -> None:
    protocol.pack(SUBMIT, {"task": NUMBER, "unique": "", "data": LONG})


def with_nul() -> None:
    protocol.pack(SUBMIT, {"task": "a\0", "unique": "", "data": LONG})


def no_payload() -> None:
    protocol.pack(SUBMIT, {"task": "a", "unique": "", "data": ITEMS})


def no_magic() -> None:
    protocol.parse_text_command(f"\0{LONG}\n".encode())


def no_text() -> None:
    arguments = {"text": LONG}
    protocol.pack_text_command(protocol.GEARMAN_COMMAND_TEXT_COMMAND, arguments)


def no_status() -> None:
    GearmanAdminClientCommandHandler().recv_server_status(LONG)


def no_number() -> None:
    GearmanAdminClientCommandHandler().recv_server_status(f"a\t{LONG}\t1\t1")


def no_worker() -> None:
    GearmanAdminClientCommandHandler().recv_server_workers(LONG)


@pytest.mark.parametrize(
    "wrong",
    [not_binary, with_nul, no_payload, no_magic, no_text, no_status, no_number]
    + [no_worker],
)
def test_an_error_of_the_protocol_shows_the_beginning(wrong: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        wrong()
    assert "x" * 10 in str(caught.value)
    assert "x" * (LIMIT + 1) not in str(caught.value)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The library's log."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    gearman.gearman_root_logger.addHandler(handler)
    yield lines
    gearman.gearman_root_logger.removeHandler(handler)


@pytest.mark.parametrize("number", [5000, SUBMIT])
def test_an_unexpected_command_is_shown_by_its_beginning(
    number: int, logged: list[str]
) -> None:
    handler = GearmanCommandHandler()
    with pytest.raises((ValueError, gearman.errors.UnknownCommandError)) as caught:
        handler.recv_command(number, data=LONG)
    for text in (str(caught.value), *logged):
        assert "x" * (LIMIT + 1) not in text


def test_jobs_and_requests_are_shown_by_the_beginning_of_their_payloads() -> None:
    job = gearman.GearmanJob(None, "H:1", LONG, LONG, LONG)
    for thing in (job, gearman.GearmanJobRequest(job)):
        assert "x" * (LIMIT + 1) not in repr(thing)
    short = gearman.GearmanJob(None, "H:1", "task", "unique", b"data")
    assert repr(short) == (
        "<GearmanJob connection/handle=(None, 'H:1'), task=task, unique=unique,"
        " data=b'data'>"
    )
