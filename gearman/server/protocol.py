"""What a protocol of the server is: bytes in, bytes out, no I/O."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from ..errors import ProtocolError
from .broker import Peer

# Gets one line of text for each packet or line that came in.
Trace = Callable[[str], None]


class Protocol(ABC):
    """One connection's side of a protocol.

    Whoever owns the socket passes on what it reads, sends what `data_to_send`
    returns whenever the peer was touched, and closes the connection once `error` is
    set and everything was sent.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.error: ProtocolError | None = None

    @abstractmethod
    def receive(self, data: bytes) -> None:
        """Take bytes from the peer and act on every request that they complete."""

    @property
    @abstractmethod
    def buffered(self) -> int:
        """How many bytes of an unfinished request are kept."""

    def data_to_send(self) -> bytes:
        """Return, and forget, all that waits to be sent."""
        outbox = self.peer.outbox
        data = outbox[0] if len(outbox) == 1 else b"".join(outbox)
        outbox.clear()
        return data
