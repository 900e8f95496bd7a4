"""Lingering: ending a connection so that its peer receives the last answer.

If a socket is closed while it has unread input, the system resets the connection, and
the peer's system then drops data that the peer has not read: the answer that says why.
So the server only shuts down its sending side. It reads and drops input until the peer
has closed its side as well, within these limits.
"""

from typing import Final, Protocol

# Seconds that a peer has to close its side once all data was sent.
LINGER_TIME: Final = 30.0

# Bytes of input that are dropped before the connection is closed.
LINGER_BYTES: Final = 1024**3

# Connections that may linger at a time: if there is one more, the first is closed.
LINGERING: Final = 1000


class Lingerer(Protocol):
    """A connection, as far as it can linger."""

    def cut_off(self) -> None:
        """Close now."""


class Lingering:
    """The connections that linger, in the order in which they began to."""

    def __init__(self) -> None:
        self._connections: dict[Lingerer, None] = {}

    def enter(self, connection: Lingerer) -> None:
        if len(self._connections) >= LINGERING:
            first = next(iter(self._connections))
            self.leave(first)
            first.cut_off()
        self._connections[connection] = None

    def leave(self, connection: Lingerer) -> None:
        self._connections.pop(connection, None)
