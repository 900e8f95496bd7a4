"""What players receive, whenever they stop to wait."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import closing

import pytest

from tests.wire import RESPONSE, packet

from .players import Wire

RESULT = b"H:host:1", b"done"
PACKET = packet("WORK_COMPLETE", *RESULT, magic=RESPONSE)
RECEIVED = "WORK_COMPLETE", b"\0".join(RESULT)


def play(story: Callable[[Wire, socket.socket], Awaitable[None]]) -> None:
    async def run() -> None:
        here, there = socket.socketpair()
        here.setblocking(False)
        with closing(there), closing(Wire(here)) as wire:
            await story(wire, there)

    asyncio.run(run())


async def interrupted(wire: Wire, there: socket.socket, data: bytes) -> None:
    """Cancel what waits for a packet at the moment when data come."""
    waiting = asyncio.create_task(wire.receive())
    await asyncio.sleep(0)
    there.send(data)
    # It is called after the socket was seen, and before the task goes on.
    asyncio.get_running_loop().call_later(0, waiting.cancel)
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("cut", [0, 5, 12])
def test_packet_that_comes_when_nobody_waits_any_more_is_received(cut: int) -> None:
    async def story(wire: Wire, there: socket.socket) -> None:
        for piece in filter(None, (PACKET[:cut], PACKET[cut:])):
            await interrupted(wire, there, piece)
        assert await wire.receive() == RECEIVED

    play(story)


def test_end_of_a_connection_is_told_after_its_data() -> None:
    async def story(wire: Wire, there: socket.socket) -> None:
        there.send(PACKET)
        there.close()
        assert await wire.receive() == RECEIVED
        with pytest.raises(ConnectionError):
            await wire.receive()

    play(story)
