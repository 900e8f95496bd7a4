"""The memory of the framing: only incomplete packets are kept."""

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from gearman.commands import REQUEST, RESPONSE, Command
from gearman.errors import ProtocolError

KB, MB = 1024, 1024 * 1024
NOOP = REQUEST + b"\0\0\0\x06\0\0\0\0"
CAN_DO = REQUEST + b"\0\0\0\x01\0\0\0\x06abcdef"
NO_UNIQUE = REQUEST + b"\0\0\0\x07\0\0\0\x01f"
SUBMIT_JOB = REQUEST + b"\0\0\0\x07\0\0\0\x0cf\0u\0workload"
RESULT = REQUEST + b"\0\0\0\x0d\0\0\x08\0H:1\0" + bytes(2 * KB - 4)


def large(size: int) -> bytes:
    """Return an ECHO_REQ with a body of this size."""
    return REQUEST + b"\0\0\0\x10" + size.to_bytes(4, "big") + bytes(size)


def pieces(stream: bytes, size: int) -> list[bytes]:
    return [stream[i : i + size] for i in range(0, len(stream), size)]


@pytest.mark.parametrize("stream", [SUBMIT_JOB, NOOP, b"status\r\n"])
def test_what_is_not_whole_is_kept_and_counted(
    stream: bytes, framing: ModuleType
) -> None:
    for cut in range(len(stream)):
        decoder = framing.Decoder(lines=True)
        assert decoder.feed(stream[:cut]) == []
        assert decoder.buffered == cut
        assert decoder.feed(b"") == []
        assert len(decoder.feed(stream[cut:])) == 1
        assert decoder.buffered == 0


def test_one_piece_may_end_a_packet_and_begin_another(framing: ModuleType) -> None:
    stream = CAN_DO * 3
    decoder = framing.Decoder()
    assert decoder.feed(stream[:20]) == [(Command.CAN_DO, (b"abcdef",))]
    assert decoder.buffered == 2
    assert decoder.feed(stream[20:]) == [(Command.CAN_DO, (b"abcdef",))] * 2


@pytest.mark.parametrize("data", [None, "\0REQ", 1, bytearray(b"a"), memoryview(b"a")])
def test_only_bytes_can_be_fed(data: object, framing: ModuleType) -> None:
    name = type(data).__name__
    with pytest.raises(TypeError, match=f"^a decoder is fed bytes, not {name}$"):
        framing.Decoder().feed(data)


@pytest.mark.parametrize("magic", [b"", b"\0REX", b"\0REQ\0", "\0REQ", None])
def test_there_are_two_magics(magic: object, framing: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^a magic is b'.x00REQ' or b'.x00RES', not"):
        framing.Decoder(magic)


@pytest.fixture
def traced() -> Iterator[Callable[[], int]]:
    """The number of bytes allocated since the test began."""
    gc.collect()
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()


def test_nothing_is_allocated_for_a_declared_length(
    framing: ModuleType, traced: Callable[[], int]
) -> None:
    decoder = framing.Decoder(max_packet=framing.MAX_BODY)
    decoder.feed(REQUEST + b"\0\0\0\x10\xff\xff\xff\xff" + b"some")
    assert decoder.buffered == 16
    assert tracemalloc.get_traced_memory()[1] < 64 * KB


def test_the_buffer_grows_with_what_has_arrived(
    framing: ModuleType, traced: Callable[[], int]
) -> None:
    stream = pieces(large(4 * MB), 64 * KB)
    before = traced()
    decoder = framing.Decoder()
    for piece in stream[:-1]:
        assert decoder.feed(piece) == []
        assert traced() - before < decoder.buffered * 2 + 64 * KB


def test_a_large_buffer_is_given_back(
    framing: ModuleType, traced: Callable[[], int]
) -> None:
    stream = pieces(large(4 * MB) + CAN_DO[:15], 64 * KB)
    before = traced()
    decoder = framing.Decoder()
    assert sum(len(decoder.feed(piece)) for piece in stream) == 1
    assert decoder.buffered == 15
    assert traced() - before < 64 * KB


def test_a_dead_decoder_gives_its_buffer_back(
    framing: ModuleType, traced: Callable[[], int]
) -> None:
    decoder = framing.Decoder(lines=True, max_line=MB)
    line = b"x" * MB
    before = traced()
    decoder.feed(line)
    assert decoder.buffered == MB
    assert len(decoder.feed(b"x")) == 1
    assert traced() - before < 64 * KB


def exercise(framing: ModuleType) -> None:
    """Use every path once: complete, split, refused, fatal and incomplete packets."""
    for bad in (b"\0REX" + bytes(8), b"\x16", b"x" * 99, b"\0REQ" + bytes(8)):
        decoder = framing.Decoder(lines=True, max_line=90)
        stream = SUBMIT_JOB + b"line\r\n" + NO_UNIQUE + CAN_DO
        stream += RESPONSE + NOOP[4:] + large(2 * KB) + bad
        for piece in pieces(stream, 7):
            decoder.feed(piece)
        framing.Decoder().feed(stream)
        framing.Decoder().feed(large(2 * KB)[:-1])
        short = framing.Decoder(max_packet=KB, skip_large=True)
        for piece in pieces(large(2 * KB) + RESULT + CAN_DO + RESULT[:20], 7):
            short.feed(piece)
    framing.encode(Command.SUBMIT_JOB, [b"f", b"u", bytes(2 * KB)])
    for command, arguments in ((-1, ()), (7, ("text",)), (7, None)):
        with pytest.raises(Exception, match="."):
            framing.encode(command, arguments)


def test_nothing_leaks(framing: ModuleType, traced: Callable[[], int]) -> None:
    exercise(framing)
    gc.collect()
    before = traced()
    for _ in range(100):
        exercise(framing)
    gc.collect()
    assert traced() - before < 100 * 50


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("bad", [b"x", NO_UNIQUE, RESPONSE + NOOP[4:]])
def test_an_error_is_part_of_no_cycle(bad: bytes, framing: ModuleType) -> None:
    packets = framing.Decoder().feed(bad)
    assert packets[0][1].__traceback__ is None
    error = weakref.ref(packets[0][1])
    del packets
    assert error() is None


def test_a_body_of_4_gib_is_refused_before_it_is_put_together(
    framing: ModuleType, traced: Callable[[], int]
) -> None:
    piece = bytes(64 * MB)
    arguments = [piece] * 63 + [piece[63:]]
    with pytest.raises(ProtocolError, match="^a body of 4294967296 bytes fits in no"):
        framing.encode(Command.ECHO_RES, arguments)
    assert tracemalloc.get_traced_memory()[1] < 3 * 64 * MB
