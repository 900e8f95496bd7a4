"""Ending a connection in such a way that its peer gets what it was sent last.

Whoever closes a socket while there is input that it has not read makes the system
tell the peer that the connection has failed, and the peer's system then forgets what
it has received: an answer that says why. So the server only says that it sends no
more, and reads on, for nothing, until the peer has closed its side as well; within
these limits.
"""

from typing import Final, Protocol

# Seconds that a peer has to close its side once it was sent everything.
LINGER_TIME: Final = 30.0

# Bytes that are read of what a peer sends meanwhile.
LINGER_BYTES: Final = 1024**3

# Connections that may linger at a time: for one more, the first one is closed.
LINGERING: Final = 1000


class Lingerer(Protocol):
    """What lingers."""

    def cut_off(self) -> None:
        """Close now."""


class Lingering:
    """The connections that linger, the first one first."""

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
