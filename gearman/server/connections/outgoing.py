"""What waits for a peer, in line before a transport of asyncio.

Since Python 3.12 such a transport adds up all the pieces that it holds, each time that
it is given another one. So it is given the next when it has sent all, and the others
wait here, where their sizes are known.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol

# So many bytes of small pieces are given to a transport as one.
_TOGETHER: Final = 256 * 1024


class Owner(Protocol):
    """A connection, as far as it is told how its output goes."""

    def fell_behind(self) -> None: ...

    def caught_up(self) -> None: ...

    def sent(self) -> None: ...


class Outgoing:
    """The transport of a connection, which never waits for more than one piece.

    Sizes and limits are in bytes, and count what waits here, in the transport, and as
    the `rest` that the connection has kept back. The connection is told when more than
    the upper limit waits (`fell_behind`), and then when no more than the lower one does
    (`caught_up`); and before that, if nothing waits here any longer (`sent`).
    """

    def __init__(self, transport: asyncio.Transport, connection: Owner) -> None:
        self._transport = transport
        self._connection = connection
        self._pieces: deque[bytes] = deque()
        self._size = 0
        # How many bytes follow that the connection has kept back.
        self.rest = 0
        # How many of the bytes are there in a piece before them as well.
        self._shared = 0
        self._high = self._low = 0
        self._behind = False
        # Whether the transport has something left to send.
        self.busy = False
        # What follows once everything is sent.
        self._then: Callable[[], None] | None = None
        transport.set_write_buffer_limits(0)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self._high, self._low = high, low

    def get_write_buffer_size(self) -> int:
        return self.rest + self._size + self._transport.get_write_buffer_size()

    def memory(self) -> int:
        """Return how many bytes of memory take what waits: shared ones count once."""
        return self.get_write_buffer_size() - self.rest - self._shared

    def get_extra_info(self, name: str) -> Any:
        return self._transport.get_extra_info(name)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        if not self.busy:
            self._transport.write(data)
        else:
            self._pieces.append(data)
            self._size += len(data)
        if self.busy or self._behind:
            self._look_behind()

    def write_all(self, pieces: Collection[bytes]) -> None:
        """Write pieces without putting them together. One may be there many times."""
        for piece in pieces:
            if self._pieces and self._pieces[-1] is piece:
                self._shared += len(piece)
            self._pieces.append(piece)
            self._size += len(piece)
        self._pass_on()
        self._look_behind()

    def _look_behind(self) -> None:
        """Tell the connection if it falls behind by what waits now, or catches up."""
        if not self._behind:
            if self.busy and self.get_write_buffer_size() > self._high:
                self._behind = True
                self._connection.fell_behind()
        elif self.get_write_buffer_size() <= self._low:
            self._behind = False
            self._connection.caught_up()

    def _pass_on(self) -> None:
        """Give the transport what is in line, as long as it sends it all."""
        while self._pieces and not self.busy:
            self._transport.write(self._next())

    def fill(self) -> None:
        """Take note that the transport has something left to send."""
        self.busy = True

    def free(self) -> None:
        """Go on, since the transport has sent what it had."""
        self.busy = False
        self._pass_on()
        if not self._pieces and self._then is not None:
            then, self._then = self._then, None
            then()
        elif not self._pieces and not self.busy:
            self._connection.sent()
        self._look_behind()

    def _next(self) -> bytes:
        pieces = [self._take()]
        size = len(pieces[0])
        while self._pieces and size + len(self._pieces[0]) <= _TOGETHER:
            pieces.append(self._take())
            size += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take(self) -> bytes:
        piece = self._pieces.popleft()
        self._size -= len(piece)
        if self._pieces and self._pieces[0] is piece:
            self._shared -= len(piece)
        return piece

    def write_eof(self) -> None:
        """Send nothing more once everything that waits was sent."""
        self._finally(self._transport.write_eof)

    def close(self) -> None:
        """Close once everything that waits was sent."""
        if self._pieces:
            self._transport.pause_reading()
        self._finally(self._transport.close)

    def _finally(self, then: Callable[[], None]) -> None:
        if self._pieces:
            self._then = then
        else:
            then()

    def abort(self) -> None:
        """Close now."""
        self._pieces.clear()
        self._size = self._shared = self.rest = 0
        self._then = None
        self._transport.abort()

    def let_go(self) -> None:
        """Break the cycle with a lost connection, so that it is freed at once."""
        del self._connection
