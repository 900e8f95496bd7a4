"""Decoding a stream: at once, byte by byte, and with more data after it."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from gearman.commands import (
    BOTH,
    COMMANDS,
    MAX_LINE,
    MAX_PACKET,
    REQUEST,
    RESPONSE,
    RESPONSES,
    Command,
    Row,
)
from gearman.errors import PacketTooLarge

INVALID = -1
NOOP = 6
TEXT = 0

Outcome = tuple[int, Any]
Decode = Callable[..., list[Outcome]]


def packet(
    number: int, body: bytes = b"", magic: bytes = REQUEST, length: int | None = None
) -> bytes:
    """Return a packet that declares `length`, by default the true length."""
    length = len(body) if length is None else length
    return magic + number.to_bytes(4, "big") + length.to_bytes(4, "big") + body


def outcomes(packets: list[Outcome]) -> list[Outcome]:
    """Return errors as (text, code, fatal), so that they can be compared."""
    return [
        (number, (it.text, it.code, it.fatal) if number == INVALID else it)
        for number, it in packets
    ]


def refused(text: str, code: str) -> Outcome:
    return INVALID, (text, code, False)


def fatal(text: str, code: str = "") -> Outcome:
    return INVALID, (text, code, True)


def whole(decoder: Any, stream: bytes) -> list[Outcome]:
    return outcomes(decoder.feed(stream))


def byte_by_byte(decoder: Any, stream: bytes) -> list[Outcome]:
    pieces = [stream[i : i + 1] for i in range(len(stream))]
    return outcomes([it for piece in pieces for it in decoder.feed(piece)])


def with_more_behind(decoder: Any, stream: bytes) -> list[Outcome]:
    got = outcomes(decoder.feed(stream + b"\0RE"))
    dead = bool(got) and got[-1][0] == INVALID and got[-1][1][2]
    assert decoder.buffered == (0 if dead else 3)
    return got


@pytest.fixture(params=[whole, byte_by_byte, with_more_behind])
def decode(request: pytest.FixtureRequest, framing: ModuleType) -> Decode:
    """Decode a stream of complete packets and lines, in one of three ways."""

    def run(stream: bytes, magic: bytes = REQUEST, **options: Any) -> list[Outcome]:
        got: list[Outcome] = request.param(framing.Decoder(magic, **options), stream)
        return got

    return run


WITH_ARGUMENTS = pytest.mark.parametrize(
    "row",
    [row for row in COMMANDS.values() if row.arguments],
    ids=lambda row: row.command.name,
)


@pytest.mark.parametrize("row", COMMANDS.values(), ids=lambda row: row.command.name)
@pytest.mark.parametrize("magic", [REQUEST, RESPONSE])
def test_every_command_comes_as_it_was_sent(
    row: Row, magic: bytes, framing: ModuleType, decode: Decode
) -> None:
    arguments = tuple(name.encode() for name in row.arguments)
    sent = framing.encode(row.command, arguments, magic)
    assert sent == packet(row.command, b"\0".join(arguments), magic)
    assert decode(sent * 2, magic) == [(row.command, arguments)] * 2


@pytest.mark.parametrize("row", COMMANDS.values(), ids=lambda row: row.command.name)
def test_a_decoder_of_both_tells_requests_and_responses_apart(
    row: Row, framing: ModuleType, decode: Decode
) -> None:
    arguments = tuple(name.encode() for name in row.arguments)
    request = framing.encode(row.command, arguments, REQUEST)
    response = framing.encode(row.command, arguments, RESPONSE)
    assert decode(request + response + request, BOTH) == [
        (row.command, arguments),
        (row.command + RESPONSES, arguments),
        (row.command, arguments),
    ]


@pytest.mark.parametrize("magic", [REQUEST, RESPONSE])
def test_a_decoder_of_both_refuses_what_the_others_refuse(
    magic: bytes, decode: Decode
) -> None:
    few = packet(Command.SUBMIT_JOB, b"f", magic) + packet(NOOP)
    text = "SUBMIT_JOB takes 3 arguments, got 1"
    assert decode(few, BOTH) == [refused(text, "INVALID_COMMAND"), (NOOP, ())]
    large = packet(Command.WORK_DATA, b"H:1\0" + b"x" * 9, magic) + packet(NOOP)
    text = "Packet of 13 bytes is over the limit of 12"
    answer = refused(text, "ARGUMENT_TOO_LARGE")
    options = {"max_packet": 12, "skip_large": True}
    assert decode(large, BOTH, **options) == [answer, (NOOP, ())]
    assert decode(packet(272, b"", magic), BOTH) == [fatal("unknown packet type 272")]
    foreign = b"\0RE\0" + packet(NOOP)[4:]
    text = r"no packet begins with b'\x00RE\x00'"
    assert decode(foreign, BOTH)[0][1][2]


def test_a_decoder_is_widened_between_two_packets(framing: ModuleType) -> None:
    decoder = framing.Decoder(max_packet=4, skip_large=True)
    response = packet(Command.JOB_CREATED, b"H:123", RESPONSE)
    assert outcomes(decoder.feed(response)) == [
        refused("Request magic expected", "INVALID_MAGIC")
    ]
    decoder.widen(5)
    assert decoder.feed(response + packet(Command.JOB_CREATED, b"H:123")) == [
        (Command.JOB_CREATED + RESPONSES, (b"H:123",)),
        (Command.JOB_CREATED, (b"H:123",)),
    ]
    larger = packet(Command.JOB_CREATED, b"H:1234", RESPONSE)
    text = "Packet of 6 bytes is over the limit of 5"
    assert outcomes(decoder.feed(larger)) == [refused(text, "ARGUMENT_TOO_LARGE")]


@WITH_ARGUMENTS
def test_arguments_may_be_empty(row: Row, decode: Decode) -> None:
    count = len(row.arguments)
    stream = packet(row.command, b"\0" * (count - 1))
    assert decode(stream) == [(row.command, (b"",) * count)]


@WITH_ARGUMENTS
def test_the_last_argument_may_contain_nul(row: Row, decode: Decode) -> None:
    first = [b"a"] * (len(row.arguments) - 1)
    stream = packet(row.command, b"\0".join([*first, b"\0b\0\0c\0"]))
    assert decode(stream) == [(row.command, (*first, b"\0b\0\0c\0"))]


@WITH_ARGUMENTS
def test_a_body_that_lacks_a_nul_is_refused_within_its_length(
    row: Row, decode: Decode
) -> None:
    count = len(row.arguments)
    got = max(count - 1, 1)
    stream = packet(row.command, b"\0".join([b"a"] * got)) + packet(NOOP)
    answer = refused(
        f"{row.command.name} takes {count} arguments, got {got}", "INVALID_COMMAND"
    )
    one = (row.command, (b"a",))
    assert decode(stream) == [one if count == 1 else answer, (NOOP, ())]


@pytest.mark.parametrize(("body", "got"), [(b"", 1), (b"f", 1), (b"f\0u", 2)])
def test_no_nul_is_looked_for_in_the_next_packet(
    body: bytes, got: int, decode: Decode
) -> None:
    good = packet(Command.SUBMIT_JOB, b"f\0u\0w")
    answer = refused(f"SUBMIT_JOB takes 3 arguments, got {got}", "INVALID_COMMAND")
    assert decode(packet(Command.SUBMIT_JOB, body) + good) == [
        answer,
        (Command.SUBMIT_JOB, (b"f", b"u", b"w")),
    ]


@pytest.mark.parametrize("body", [b"", b"x", b"a\0b\0\0"])
@pytest.mark.parametrize("number", [4, 5, 6, 9, 10, 24, 30, 39])
def test_a_body_that_no_argument_needs_is_swallowed(
    number: int, body: bytes, decode: Decode
) -> None:
    stream = packet(number, body) + packet(Command.CAN_DO, b"f")
    assert decode(stream) == [(number, ()), (Command.CAN_DO, (b"f",))]


@pytest.mark.parametrize(
    ("magic", "other", "text"),
    [
        (REQUEST, RESPONSE, "Request magic expected"),
        (RESPONSE, REQUEST, "Response magic expected"),
    ],
)
def test_a_packet_of_the_other_direction_is_refused_alone(
    magic: bytes, other: bytes, text: str, decode: Decode
) -> None:
    stream = packet(Command.ECHO_REQ, b"a", other) + packet(NOOP, magic=magic)
    assert decode(stream, magic) == [refused(text, "INVALID_MAGIC"), (NOOP, ())]


FATAL = {
    "wrong magic": (
        packet(NOOP, magic=b"\0REX"),
        fatal("no packet begins with \\x00REX"),
    ),
    "zeros": (bytes(12), fatal("no packet begins with \\x00\\x00\\x00\\x00")),
    "type 0": (packet(0), fatal("unknown packet type 0")),
    "type 43": (packet(43), fatal("unknown packet type 43")),
    "type 272": (packet(272), fatal("unknown packet type 272")),
    "type 288": (packet(288), fatal("unknown packet type 288")),
    "type 2^31": (packet(2**31), fatal("unknown packet type 2147483648")),
    "type 2^32-1": (packet(2**32 - 1), fatal("unknown packet type 4294967295")),
    "type 43 of the other direction": (
        packet(43, magic=RESPONSE),
        fatal("unknown packet type 43"),
    ),
    "over the limit": (
        packet(NOOP, length=MAX_PACKET + 1),
        fatal(
            f"Packet of {MAX_PACKET + 1} bytes is over the limit of {MAX_PACKET}",
            "ARGUMENT_TOO_LARGE",
        ),
    ),
    "2^32-1 bytes": (
        packet(Command.ECHO_REQ, length=2**32 - 1),
        fatal(
            f"Packet of 4294967295 bytes is over the limit of {MAX_PACKET}",
            "ARGUMENT_TOO_LARGE",
        ),
    ),
    "TLS": (
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
        fatal("a TLS handshake where there is no TLS"),
    ),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", fatal("no packet begins with G")),
    "line": (b"status\n", fatal("no packet begins with s")),
    "not ASCII": (b"\xff\0REQ", fatal("no packet begins with \\xff")),
}
EVERY_FATAL = pytest.mark.parametrize(
    ("stream", "outcome"), FATAL.values(), ids=FATAL.keys()
)


@EVERY_FATAL
def test_what_is_no_packet_ends_the_stream(
    stream: bytes, outcome: Outcome, decode: Decode
) -> None:
    good = packet(Command.CAN_DO, b"f")
    assert decode(good + stream + good) == [(Command.CAN_DO, (b"f",)), outcome]


@EVERY_FATAL
def test_a_dead_decoder_ignores_and_keeps_nothing(
    stream: bytes, outcome: Outcome, framing: ModuleType
) -> None:
    decoder = framing.Decoder()
    assert outcomes(decoder.feed(stream)) == [outcome]
    assert decoder.feed(packet(NOOP)) == []
    assert decoder.feed(b"\0RE") == []
    assert decoder.buffered == 0


@pytest.mark.parametrize("limit", [0, 1, 5, 100])
def test_a_body_may_be_as_large_as_the_limit(limit: int, decode: Decode) -> None:
    for length in {0, max(limit - 1, 0), limit}:
        stream = packet(Command.ECHO_REQ, b"x" * length)
        got = decode(stream, max_packet=limit)
        assert got == [(Command.ECHO_REQ, (b"x" * length,))]


@pytest.mark.parametrize("limit", [0, 1, 5, 100])
def test_a_body_over_the_limit_is_refused_by_its_header(
    limit: int, decode: Decode
) -> None:
    for length in (limit + 1, 2**31, 2**32 - 1):
        stream = packet(Command.ECHO_REQ, length=length)
        text = f"Packet of {length} bytes is over the limit of {limit}"
        assert decode(stream, max_packet=limit) == [fatal(text, "ARGUMENT_TOO_LARGE")]


def too_large(size: int, limit: int) -> Outcome:
    text = f"Packet of {size} bytes is over the limit of {limit}"
    return refused(text, "ARGUMENT_TOO_LARGE")


ABOUT_JOBS = pytest.mark.parametrize(
    "number",
    [
        Command.WORK_STATUS,
        Command.WORK_COMPLETE,
        Command.WORK_FAIL,
        Command.WORK_EXCEPTION,
        Command.WORK_DATA,
        Command.WORK_WARNING,
    ],
)


@pytest.mark.parametrize("row", COMMANDS.values(), ids=lambda row: row.command.name)
@pytest.mark.parametrize("body", [b"handle\0some more", b"x" * 11, b"x" * 200])
def test_a_large_packet_may_be_skipped(row: Row, body: bytes, decode: Decode) -> None:
    stream = packet(row.command, body)
    good = packet(Command.ECHO_REQ, b"fits")
    got = decode(good + stream + good, max_packet=10, skip_large=True)
    fits = (Command.ECHO_REQ, (b"fits",))
    assert got == [fits, too_large(len(body), 10), fits]


@pytest.mark.parametrize("number", [Command.ECHO_REQ, Command.WORK_DATA])
def test_a_large_packet_of_the_other_direction_may_be_skipped(
    number: int, decode: Decode
) -> None:
    stream = packet(number, b"x" * 11, RESPONSE) + packet(NOOP)
    got = decode(stream, max_packet=10, skip_large=True)
    assert got == [refused("Request magic expected", "INVALID_MAGIC"), (NOOP, ())]


@pytest.mark.parametrize("length", [101, 2**31, 2**32 - 1])
def test_a_large_packet_is_refused_before_it_has_come(
    length: int, framing: ModuleType
) -> None:
    decoder = framing.Decoder(max_packet=100, skip_large=True)
    head = packet(Command.ECHO_REQ, length=length)
    assert decoder.feed(head[:-1]) == []
    assert outcomes(decoder.feed(head[-1:])) == [too_large(length, 100)]
    assert decoder.feed(b"x" * 100) == []
    assert decoder.buffered == 0
    assert decoder.unfinished


@ABOUT_JOBS
@pytest.mark.parametrize("handle", [b"", b"H:1", b"h" * 64])
def test_a_large_packet_about_a_job_is_refused_once_its_handle_has_come(
    number: int, handle: bytes, framing: ModuleType
) -> None:
    decoder = framing.Decoder(max_packet=10, skip_large=True)
    stream = packet(number, handle + b"\0", length=1000)
    for size in range(len(stream) - 1):
        assert decoder.feed(stream[size : size + 1]) == []
        assert decoder.buffered == size + 1
    ((_, error),) = decoder.feed(stream[-1:])
    assert isinstance(error, PacketTooLarge)
    assert (error.handle, error.size, error.limit) == (handle, 1000, 10)
    assert decoder.buffered == 0
    assert decoder.unfinished
    assert decoder.feed(bytes(1000 - len(handle) - 1) + packet(NOOP)) == [(NOOP, ())]
    assert not decoder.unfinished


@ABOUT_JOBS
def test_a_handle_that_does_not_end_is_cut(number: int, framing: ModuleType) -> None:
    decoder = framing.Decoder(max_packet=10, skip_large=True)
    stream = packet(number, b"h" * 64, length=1000)
    assert decoder.feed(stream) == []
    ((_, error),) = decoder.feed(b"h")
    assert error.handle == b"h" * 65
    assert decoder.feed(b"h" * 935 + packet(NOOP)) == [(NOOP, ())]


@ABOUT_JOBS
def test_a_handle_may_end_with_its_packet(number: int, framing: ModuleType) -> None:
    decoder = framing.Decoder(max_packet=10, skip_large=True)
    first, second = decoder.feed(packet(number, b"h" * 11) + packet(NOOP))
    assert first[1].handle == b"h" * 11
    assert second == (NOOP, ())
    assert not decoder.unfinished


@pytest.mark.parametrize(
    ("values", "body"),
    [
        (["ä", b"u", "w"], "ä\0u\0w".encode()),
        (["f", b"u", b"w\0w"], b"f\0u\0w\0w"),
        ([], b""),
        # These are no text that UTF-8 has, no text at all, or end too early.
        (["\ud800"], None),
        ([7], None),
        ([bytearray(b"f")], None),
        (["f\0", b"u"], None),
    ],
)
def test_a_request_is_made_of_text_and_bytes(
    framing: ModuleType, values: list[object], body: bytes | None
) -> None:
    found = framing.encode_request(7, values)
    expected = None if body is None else framing.encode(7, [body], REQUEST)
    assert found == expected


@pytest.mark.parametrize("limit", [2**32 - 1, 2**40])
def test_the_limit_may_be_what_a_header_can_declare(
    limit: int, framing: ModuleType
) -> None:
    decoder = framing.Decoder(max_packet=limit)
    assert decoder.feed(packet(Command.ECHO_REQ, b"x", length=2**32 - 1)) == []
    assert decoder.buffered == 13


LINES = {
    b"status\n": b"status",
    b"status\r\n": b"status",
    b"\n": b"",
    b"\r\n": b"",
    b"a\r\r\n": b"a\r",
    b"a\rb\n": b"a\rb",
    b" a \n": b" a ",
    b"a\0REQ\n": b"a\0REQ",
    b"\xff\xfe\n": b"\xff\xfe",
}


@pytest.mark.parametrize(("stream", "line"), LINES.items())
def test_a_line_comes_without_its_end(
    stream: bytes, line: bytes, decode: Decode
) -> None:
    assert decode(stream, lines=True) == [(TEXT, (line,))]


def test_lines_and_packets_mix(decode: Decode) -> None:
    can_do = packet(Command.CAN_DO, b"\n\r")
    stream = b"a\n" + packet(NOOP) + b"\r\nb\r\n" + can_do + b"\nc\n"
    assert decode(stream, lines=True) == [
        (TEXT, (b"a",)),
        (NOOP, ()),
        (TEXT, (b"",)),
        (TEXT, (b"b",)),
        (Command.CAN_DO, (b"\n\r",)),
        (TEXT, (b"",)),
        (TEXT, (b"c",)),
    ]


@pytest.mark.parametrize("limit", [1, 9, MAX_LINE])
def test_a_line_may_be_as_long_as_the_limit(limit: int, decode: Decode) -> None:
    for line in (b"x" * (limit - 1), b"x" * limit):
        got = decode(line + b"\n", lines=True, max_line=limit)
        assert got == [(TEXT, (line,))]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"xxx\n"])
@pytest.mark.parametrize("limit", [1, 9, MAX_LINE])
def test_a_line_over_the_limit_ends_the_stream(
    limit: int, end: bytes, decode: Decode
) -> None:
    stream = b"x" * (limit + 1) + end
    got = decode(stream, lines=True, max_line=limit)
    assert got == [fatal(f"a line of more than {limit} bytes")]


def test_the_limit_of_a_line_counts_its_carriage_return(decode: Decode) -> None:
    assert decode(b"abc\r\n", lines=True, max_line=4) == [(TEXT, (b"abc",))]
    got = decode(b"abcd\r\n", lines=True, max_line=4)
    assert got == [fatal("a line of more than 4 bytes")]


def test_tls_is_told_from_a_line(decode: Decode) -> None:
    got = decode(b"a\n\x16\x03\x01\n", lines=True)
    assert got == [(TEXT, (b"a",)), fatal("a TLS handshake where there is no TLS")]
