"""An open connection: bytes in, packets out, and packets in, bytes out.

Packets that are sent in one turn of the event loop leave in one write. Whoever sends
much waits for `writable` before each packet.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, cast

from ..commands import RESPONSE
from ..errors import GearmanError, ProtocolError, ServerUnavailable
from ..framing import MAX_BODY, Decoder, Packet

logger = logging.getLogger("gearman.aio")

# Bytes that may wait for the end of a turn. They are written when there are more, so
# that the transport sees them, and stops those who send.
_MOST_QUEUED: Final = 1 << 16
# A server lists all functions of a worker in one line.
_MAX_LINE: Final = 1 << 26


class Link(asyncio.Protocol):
    """A connection to the server `name`; subclasses act on the packets.

    `max_packet` is how many bytes a packet may have (None: 4 GiB). It tells `on_lost`
    when it is closed.
    """

    def __init__(
        self, name: str, max_packet: int | None, on_lost: Callable[[], object]
    ) -> None:
        self.name = name
        self.connected = False
        self.loop = asyncio.get_running_loop()
        # Set when the connection is closed.
        self.lost = self.loop.create_future()
        self._on_lost = on_lost
        most = MAX_BODY if max_packet is None else max_packet
        self._decoder = Decoder(
            RESPONSE, max_packet=most, max_line=_MAX_LINE, lines=True
        )
        self._transport: asyncio.Transport | None = None
        self._queue: list[bytes] = []
        self._queued = 0
        # Whether the transport accepts no more data, and who waits until it does.
        self.blocked = False
        self._blocked: list[asyncio.Future[None]] = []
        self._reason = ""

    # Sending.

    def send(self, packet: bytes) -> None:
        """Send a packet at the end of this turn of the loop."""
        queue = self._queue
        if not queue:
            self.loop.call_soon(self.flush)
        queue.append(packet)
        self._queued += len(packet)
        if self._queued > _MOST_QUEUED:
            self.flush()

    def flush(self) -> None:
        """Send what is queued now."""
        queue = self._queue
        if queue and self.connected:
            transport = cast(asyncio.Transport, self._transport)
            transport.write(b"".join(queue) if len(queue) > 1 else queue[0])
        queue.clear()
        self._queued = 0

    async def writable(self) -> None:
        """Wait while the server accepts no more data.

        Raises ServerUnavailable if the connection is lost.
        """
        while self.blocked and self.connected:
            future = self.loop.create_future()
            self._blocked.append(future)
            try:
                await future
            finally:
                if future in self._blocked:
                    self._blocked.remove(future)
        if not self.connected:
            raise self.error()

    def pause_writing(self) -> None:
        self.blocked = True

    def resume_writing(self) -> None:
        self.blocked = False
        waiting, self._blocked = self._blocked, []
        for future in waiting:
            tell(future, None)

    # Receiving.

    def data_received(self, data: bytes) -> None:
        try:
            self.act(self._decoder.feed(data))
        except GearmanError as error:
            # What follows on this connection cannot be read.
            self.abort(str(error))

    def act(self, packets: list[Packet]) -> None:
        """Act on packets; the connection is closed if this raises a GearmanError."""
        ...

    # Opening and closing.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.connected = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.connected = False
        self._reason = self._reason or (repr(exc) if exc else "the server has closed")
        self.lost.set_result(None)
        self.resume_writing()
        self._on_lost()

    def error(self) -> ServerUnavailable:
        """Return the error for those whose connection is lost."""
        text = f"the connection to {self.name} is lost: {self._reason}"
        return ServerUnavailable(text)

    def abort(self, reason: str) -> None:
        """Close the connection at once; `reason` is told to those who use it."""
        if not self._reason:
            logger.debug("closing the connection to %s: %s", self.name, reason)
            self._reason = reason
        # No more may be sent on it.
        self.connected = False
        cast(asyncio.Transport, self._transport).abort()

    async def close(self, reason: str, patience: float) -> None:
        """Send what is queued, and close; after `patience` seconds close at once."""
        self.flush()
        self._reason = self._reason or reason
        self.connected = False
        if self.lost.done():
            return
        transport = cast(asyncio.Transport, self._transport)
        transport.close()
        try:
            await asyncio.wait([self.lost], timeout=patience)
        finally:
            if not self.lost.done():
                transport.abort()
        await asyncio.wait([self.lost])


def tell(future: asyncio.Future[Any], answer: object) -> None:
    """Give an answer to who waits for it, unless nobody does any more."""
    if not future.done():
        future.set_result(answer)


def fail(future: asyncio.Future[Any], error: Exception) -> None:
    """Give an error to who waits for an answer; perhaps nobody does."""
    if not future.done():
        future.set_exception(error)
        # Otherwise it would be logged.
        future.exception()


def arguments_of(packet: Packet) -> tuple[bytes, ...]:
    """Return the arguments of a packet; raises the error of one that is no command."""
    arguments = packet[1]
    if isinstance(arguments, ProtocolError):
        raise arguments
    return arguments
