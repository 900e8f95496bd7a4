"""A queue of the data that waits for a peer, before a transport of asyncio.

Since Python 3.12, such a transport adds up the sizes of all its pieces each time that
it gets another one. So it gets the next piece only when it has sent all others. These
wait here, where the sum of their sizes is known.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol

# Small pieces are joined up to so many bytes before the transport gets them.
_TOGETHER: Final = 256 * 1024

# A peer that accepts all data at once gets about so many bytes in a turn.
AT_ONCE: Final = 4 * 1024 * 1024


class Owner(Protocol):
    """A connection, as far as it is told about its output."""

    def fell_behind(self) -> None: ...

    def caught_up(self) -> None: ...

    def sent(self) -> None: ...

    def resume_writing(self) -> None: ...


class Outgoing:
    """The transport of a connection: a queue before asyncio's transport.

    Sizes and limits are in bytes. They count the pieces here, the data in the
    transport, and the `rest` that the connection has not written yet. The connection is
    told when more than the upper limit waits (`fell_behind`), when no more than the
    lower limit waits after that (`caught_up`), and when the queue is empty (`sent`).
    """

    def __init__(self, transport: asyncio.Transport, connection: Owner) -> None:
        self._transport = transport
        self._connection = connection
        self._pieces: deque[bytes] = deque()
        self._size = 0
        # Bytes that the connection has not written yet.
        self.rest = 0
        # Bytes of pieces that are the same object as the piece before.
        self._shared = 0
        self._high = self._low = 0
        self._behind = False
        # Whether the transport has data left to send, or the next turn goes on with it.
        self.busy = False
        # Called once all data was sent.
        self._when_sent: Callable[[], None] | None = None
        transport.set_write_buffer_limits(0)

    def set_write_buffer_limits(self, high: int, low: int) -> None:
        self._high, self._low = high, low

    def get_write_buffer_size(self) -> int:
        return self.rest + self._size + self._transport.get_write_buffer_size()

    def memory(self) -> int:
        """Return the memory of the waiting data, in bytes; shared pieces count once."""
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
            self._check_limits()

    def write_all(self, pieces: Collection[bytes]) -> None:
        """Write pieces without joining them. The same piece may appear many times."""
        for piece in pieces:
            if self._pieces and self._pieces[-1] is piece:
                self._shared += len(piece)
            self._pieces.append(piece)
            self._size += len(piece)
        self._pass_on()
        self._check_limits()

    def _check_limits(self) -> None:
        """Tell the connection if its peer has fallen behind, or has caught up."""
        if not self._behind:
            if self.busy and self.get_write_buffer_size() > self._high:
                self._behind = True
                self._connection.fell_behind()
        elif self.get_write_buffer_size() <= self._low:
            self._behind = False
            self._connection.caught_up()

    def _pass_on(self) -> None:
        """Give the transport pieces of the queue, as long as it sends them at once.

        After AT_ONCE bytes it is the turn of other connections first.
        """
        left = AT_ONCE
        while self._pieces and not self.busy:
            if left <= 0:
                self.busy = True
                asyncio.get_running_loop().call_soon(self._go_on)
                break
            data = self._next()
            left -= len(data)
            self._transport.write(data)

    def _go_on(self) -> None:
        if not self._transport.is_closing():
            self._connection.resume_writing()

    def set_busy(self) -> None:
        """Note that the transport has data left to send."""
        self.busy = True

    def set_idle(self) -> None:
        """Write the next pieces, since the transport has sent all its data."""
        self.busy = False
        self._pass_on()
        if not self._pieces and self._when_sent is not None:
            then, self._when_sent = self._when_sent, None
            then()
        elif not self._pieces and not self.busy:
            self._connection.sent()
        self._check_limits()

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
        """Shut down the sending side once all waiting data was sent."""
        self._do_when_sent(self._transport.write_eof)

    def close(self) -> None:
        """Close once all waiting data was sent."""
        if self._pieces:
            self._transport.pause_reading()
        self._do_when_sent(self._transport.close)

    def _do_when_sent(self, then: Callable[[], None]) -> None:
        if self._pieces:
            self._when_sent = then
        else:
            then()

    def abort(self) -> None:
        """Close now."""
        self._pieces.clear()
        self._size = self._shared = self.rest = 0
        self._when_sent = None
        self._transport.abort()

    def break_cycle(self) -> None:
        """Break the reference cycles of a lost connection, so that it is freed."""
        del self._connection
        # asyncio's transport keeps bound methods of itself.
        own = vars(self._transport)
        for name, value in list(own.items()):
            if getattr(value, "__self__", None) is self._transport:
                del own[name]
