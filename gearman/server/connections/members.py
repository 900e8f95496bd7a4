"""The set of a server's connections, their memory, and those that linger."""

from collections.abc import Callable, Iterator
from typing import ClassVar, Protocol

from ..broker import Broker, Peer
from ..protocols.interface import Protocol as Spoken
from ..storage.durability import Producer
from .access import ConnectionCounter
from .back_pressure import BackPressure
from .lingering import Lingerer, Lingering
from .relief import Holder
from .turns import Turns
from .watchdog import Watchdog, Watched


class Member(Watched, Holder, Lingerer, Protocol):
    """A connection, as far as this folder uses it."""

    peer: Peer
    host: str
    protocol: Spoken
    pressure: BackPressure
    # Memory of an idle connection, as measured (bytes).
    own_memory: ClassVar[int]

    def close(self) -> None: ...

    def abort(self, limit: str, reason: str) -> None: ...

    def waiting(self) -> int: ...


class Connections:
    """The connections of a server, from when they are made until they are lost.

    `connected` is called with the back-pressure of each new one.
    """

    def __init__(
        self,
        broker: Broker,
        turns: Turns,
        watchdog: Watchdog,
        counter: ConnectionCounter,
        connected: Callable[[Producer], None],
    ) -> None:
        self._broker = broker
        self._turns = turns
        self._watchdog = watchdog
        self._counter = counter
        self._connected = connected
        self._members: set[Member] = set()
        self._lingering = Lingering()

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def add(self, connection: Member) -> None:
        """Add a new connection."""
        self._members.add(connection)
        self.hold(connection.own_memory)
        self._broker.connect(connection.peer)
        self._connected(connection.pressure)

    def part(self, connection: Member) -> None:
        """Make the broker forget the peer of a connection, unless it has already."""
        self._turns.begin()
        if connection.peer in self._broker.peers:
            self._broker.disconnect(connection.peer)

    def linger(self, connection: Member) -> None:
        """Add a connection to those that linger, and watch its limits."""
        self._lingering.enter(connection)
        self.watch(connection)

    def remove(self, connection: Member) -> None:
        """Remove a connection that is lost."""
        if connection in self._members:
            self._members.remove(connection)
            self.hold(-connection.own_memory)
        self._lingering.leave(connection)
        self._counter.leave(connection.host)
        self._watchdog.ended(connection)

    def freed(self, peer: Peer) -> None:
        """Look later whether the peer of a lost connection is freed by then."""
        self._watchdog.freed(peer)

    def watch(self, connection: Member) -> None:
        """Check a connection regularly as long as it may stall."""
        self._watchdog.watch(connection)

    def hold(self, change: int) -> None:
        """Add `change` bytes, which may be negative, to the memory of connections."""
        self._broker.memory.buffers += change
