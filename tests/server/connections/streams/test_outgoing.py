"""The queue before a transport: the transport gets one piece after the other."""

import asyncio
from typing import Any, cast

import pytest

from gearman.server.connections.streams.outgoing import AT_ONCE, Outgoing


class Transport:
    """A transport of asyncio with a peer that the test controls."""

    def __init__(self) -> None:
        self.room = 0
        self.sent = b""
        self.waits: list[bytes] = []
        self.most = 0
        self.ends: list[str] = []
        self.protocol: Any = None
        self.high: int | None = None

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.waits))

    def write(self, data: bytes) -> None:
        now, later = data[: self.room], data[self.room :]
        self.room -= len(now)
        self.sent += now
        if later:
            self.waits.append(later)
            self.most = max(self.most, len(self.waits))
            self.protocol.set_busy()

    def take(self, size: int) -> None:
        """Let the peer accept so many more bytes."""
        self.room = size
        pieces, self.waits = self.waits, []
        for piece in pieces:
            self.write(piece)
        if pieces and not self.waits:
            self.protocol.set_idle()

    def is_closing(self) -> bool:
        return bool({"close", "abort"} & {*self.ends})

    def pause_reading(self) -> None:
        self.ends.append("pause_reading")

    def write_eof(self) -> None:
        self.ends.append("write_eof")

    def close(self) -> None:
        self.ends.append("close")

    def abort(self) -> None:
        self.ends.append("abort")


class Told:
    """A connection that only records the calls."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.outgoing: Any = None

    def fell_behind(self) -> None:
        self.words.append("fell behind")

    def caught_up(self) -> None:
        self.words.append("caught up")

    def sent(self) -> None:
        pass

    def resume_writing(self) -> None:
        self.outgoing.set_idle()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
def outgoing(transport: Transport, told: Told) -> Outgoing:
    outgoing = Outgoing(cast("Any", transport), told)
    outgoing.set_write_buffer_limits(100, 50)
    transport.protocol = told.outgoing = outgoing
    return outgoing


def test_transport_tells_when_it_has_anything_left(
    outgoing: Outgoing, transport: Transport
) -> None:
    assert transport.high == 0


def test_what_the_peer_takes_at_once_does_not_wait(
    outgoing: Outgoing, transport: Transport, told: Told
) -> None:
    transport.room = 1000
    for _ in range(10):
        outgoing.write(b"x" * 100)
    assert len(transport.sent) == 1000
    assert outgoing.get_write_buffer_size() == 0
    assert told.words == []


def test_transport_holds_one_piece_and_all_arrives_in_order(
    outgoing: Outgoing, transport: Transport
) -> None:
    data = [b"%d," % number for number in range(1000)]
    for piece in data:
        outgoing.write(piece)
    assert outgoing.get_write_buffer_size() == len(b"".join(data))
    while outgoing.get_write_buffer_size():
        transport.take(700)
    assert transport.sent == b"".join(data)
    assert transport.most == 1


@pytest.mark.parametrize("ends", [[], ["close"], ["abort"]])
def test_peer_that_accepts_everything_does_not_keep_others_waiting(
    outgoing: Outgoing, transport: Transport, ends: list[str]
) -> None:
    piece = bytes(AT_ONCE // 4)
    transport.room = 100 * AT_ONCE

    async def write() -> list[int]:
        outgoing.write_all([piece] * 10)
        counts = [len(transport.sent) // len(piece)]
        outgoing.write(b"the end")
        transport.ends += ends
        for _ in range(4):
            await asyncio.sleep(0)
            counts.append(len(transport.sent) // len(piece))
        return counts

    if ends:
        assert asyncio.run(write()) == [4] * 5
    else:
        assert asyncio.run(write()) == [4, 8, 10, 10, 10]
        assert transport.sent == piece * 10 + b"the end"
        assert not outgoing.busy


def test_large_pieces_are_not_put_together(
    outgoing: Outgoing, transport: Transport
) -> None:
    pieces = [bytes(1), bytes(200_000), bytes(200_000)]
    for piece in pieces:
        outgoing.write(piece)
    transport.take(1)
    assert transport.get_write_buffer_size() == 200_000
    assert outgoing.get_write_buffer_size() == 400_000


def test_connection_is_told_once_each_way(
    outgoing: Outgoing, transport: Transport, told: Told
) -> None:
    outgoing.write(b"x" * 60)
    assert told.words == []
    outgoing.write(b"y" * 41)
    outgoing.write(b"z" * 41)
    assert told.words == ["fell behind"]
    transport.take(60)
    assert told.words == ["fell behind"]
    transport.take(32)
    assert told.words == ["fell behind"]
    transport.take(82)
    assert told.words == ["fell behind", "caught up"]
    transport.room = 0
    outgoing.write(b"x" * 101)
    assert told.words == ["fell behind", "caught up", "fell behind"]


@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_end_waits_for_what_waits(
    outgoing: Outgoing, transport: Transport, end: str
) -> None:
    outgoing.write(b"one")
    outgoing.write(b"two")
    getattr(outgoing, end)()
    assert end not in transport.ends
    transport.take(3)
    # The transport itself has the last piece.
    assert transport.ends[-1] == end
    transport.take(3)
    assert transport.sent == b"onetwo"
    assert transport.ends.count(end) == 1


@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_end_comes_at_once_where_nothing_is_in_line(
    outgoing: Outgoing, transport: Transport, end: str
) -> None:
    outgoing.write(b"one")
    getattr(outgoing, end)()
    assert transport.ends == [end]


def test_nothing_is_read_while_the_end_waits(
    outgoing: Outgoing, transport: Transport
) -> None:
    outgoing.write(b"one")
    outgoing.write(b"two")
    outgoing.close()
    assert transport.ends == ["pause_reading"]


def test_what_waits_is_forgotten_by_an_abort(
    outgoing: Outgoing, transport: Transport
) -> None:
    outgoing.write(b"one")
    outgoing.write(b"two")
    outgoing.close()
    outgoing.abort()
    assert outgoing.get_write_buffer_size() == len(b"one")
    assert transport.ends == ["pause_reading", "abort"]


def test_piece_that_is_there_several_times_takes_memory_once(
    outgoing: Outgoing, transport: Transport
) -> None:
    shared, other = b"x" * 200_000, b"y" * 10
    outgoing.write_all([other, shared, shared, shared, other])
    assert outgoing.get_write_buffer_size() == 600_020
    # The transport was given a copy.
    assert outgoing.memory() == 400_020
    transport.take(600_020)
    assert (outgoing.get_write_buffer_size(), outgoing.memory()) == (0, 0)


def test_nothing_of_shared_pieces_is_counted_after_an_abort(
    outgoing: Outgoing,
) -> None:
    outgoing.write(b"one")
    outgoing.write_all([b"two"] * 3)
    outgoing.abort()
    assert outgoing.memory() == len(b"one")


def test_rest_that_was_kept_back_counts_until_it_is_written(
    outgoing: Outgoing, transport: Transport, told: Told
) -> None:
    outgoing.rest = 500
    outgoing.write_all([b"x" * 80])
    assert told.words == ["fell behind"]
    # The transport has sent all its data, but there is a rest.
    transport.take(80)
    assert told.words == ["fell behind"]
    transport.room = 1000
    outgoing.rest = 0
    outgoing.write_all([b"y" * 500])
    assert told.words == ["fell behind", "caught up"]
    assert outgoing.get_write_buffer_size() == 0
