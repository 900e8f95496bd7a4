"""Packing and parsing with the functions of `gearman.protocol`."""

from typing import Any

import pytest

from gearman import protocol
from gearman.errors import ProtocolError
from tests.wire import NUMBERS, RESPONSE, packet


@pytest.mark.parametrize("name", [n for n in NUMBERS if n not in ("TEXT", "UNUSED")])
def test_every_command_has_a_number_and_arguments(name: str) -> None:
    number = getattr(protocol, f"GEARMAN_COMMAND_{name}")
    assert number == NUMBERS[name]
    assert protocol.get_command_name(number) == f"GEARMAN_COMMAND_{name}"
    assert number in protocol.GEARMAN_PARAMS_FOR_COMMAND


def test_a_packet_is_packed_from_text_and_bytes() -> None:
    packed = protocol.pack_binary_command(
        protocol.GEARMAN_COMMAND_SUBMIT_JOB,
        {"task": "té", "unique": b"u", "data": b"\0\xff"},
    )
    assert packed == packet("SUBMIT_JOB", "té".encode(), b"u", b"\0\xff")


def test_a_packet_is_parsed_into_names_and_payloads() -> None:
    data = packet("JOB_ASSIGN_UNIQ", b"H:1", b"t", b"u", b"d\0d", magic=RESPONSE)
    assert protocol.parse_binary_command(data + b"more") == (
        protocol.GEARMAN_COMMAND_JOB_ASSIGN_UNIQ,
        {"job_handle": "H:1", "task": "t", "unique": "u", "data": b"d\0d"},
        len(data),
    )


def test_half_a_packet_is_nothing_yet() -> None:
    data = packet("JOB_CREATED", b"H:1", magic=RESPONSE)
    for size in range(len(data)):
        assert protocol.parse_binary_command(data[:size]) == (None, None, 0)


def test_the_handle_of_a_failure_may_end_with_nul() -> None:
    data = packet("WORK_FAIL", b"H:1\0", magic=RESPONSE)
    assert protocol.parse_binary_command(data)[1] == {"job_handle": "H:1"}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (packet("NOOP"), "Malformed Magic"),
        (packet(99, magic=RESPONSE), "unknown binary command: 99"),
        (packet("NOOP", b"x", magic=RESPONSE), "Expected no binary payload"),
        (packet("WORK_DATA", b"x", magic=RESPONSE), "Received 1 argument"),
    ],
)
def test_what_is_no_packet_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(ProtocolError, match=sentence):
        protocol.parse_binary_command(data)


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        (99, {}, "unknown"),
        (protocol.GEARMAN_COMMAND_CAN_DO, {}, "did not match"),
        (protocol.GEARMAN_COMMAND_CAN_DO, {"task": 5}, "non-binary"),
        (protocol.GEARMAN_COMMAND_CAN_DO, {"task": "t", "x": "y"}, "did not match"),
        (
            protocol.GEARMAN_COMMAND_WORK_DATA,
            {"job_handle": "a\0b", "data": ""},
            "contains NUL",
        ),
    ],
)
def test_what_can_be_no_packet_is_refused(
    command: int, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ProtocolError, match=sentence):
        protocol.pack_binary_command(command, arguments)


def test_a_line_is_packed_and_parsed() -> None:
    text = protocol.GEARMAN_COMMAND_TEXT_COMMAND
    assert protocol.pack_text_command(text, {"raw_text": "status\n"}) == "status\n"
    assert protocol.parse_text_command(b"OK\r\nmore") == (text, {"raw_text": "OK"}, 4)
    assert protocol.parse_text_command(b"OK") == (None, None, 0)


def test_what_is_no_line_is_refused() -> None:
    with pytest.raises(ProtocolError, match="unexpected character"):
        protocol.parse_text_command(b"a\0\n")
    with pytest.raises(ProtocolError, match="TEXT_COMMAND, received"):
        protocol.pack_text_command(1, {})
    with pytest.raises(ProtocolError, match="valid arguments"):
        protocol.pack_text_command(protocol.GEARMAN_COMMAND_TEXT_COMMAND, {})


@pytest.mark.parametrize(
    ("background", "priority", "name"),
    [
        (False, None, "SUBMIT_JOB"),
        (False, "HIGH", "SUBMIT_JOB_HIGH"),
        (False, "LOW", "SUBMIT_JOB_LOW"),
        (True, None, "SUBMIT_JOB_BG"),
        (True, "HIGH", "SUBMIT_JOB_HIGH_BG"),
        (True, "LOW", "SUBMIT_JOB_LOW_BG"),
    ],
)
def test_priority_and_background_choose_the_command(
    background: bool, priority: str | None, name: str
) -> None:
    number = protocol.submit_cmd_for_background_priority(background, priority)
    assert number == NUMBERS[name]
