"""The connections of a server: which there are, what they hold, who lingers."""

from collections.abc import Callable, Iterator
from typing import ClassVar, Protocol

from ..broker import Broker, Peer
from ..protocols.interface import Protocol as Spoken
from ..storage.durability import Producer
from .access import ConnectionCounter
from .lingering import Lingerer, Lingering
from .relief import Holder
from .turns import Turns
from .watchdog import Watchdog, Watched


class Member(Producer, Watched, Holder, Lingerer, Protocol):
    """What this room wants of a connection."""

    peer: Peer
    host: str
    protocol: Spoken
    # What a connection that does nothing takes, as measured (bytes of memory).
    own_memory: ClassVar[int]

    def close(self) -> None: ...

    def abort(self, limit: str, reason: str) -> None: ...

    def waiting(self) -> int: ...


class Connections:
    """Knows each connection from when it is made until it is lost.

    `connected` is told of each new one.
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
        """Make a connection known."""
        self._members.add(connection)
        self.hold(connection.own_memory)
        self._broker.connect(connection.peer)
        self._connected(connection)

    def part(self, connection: Member) -> None:
        """Let the broker forget who is behind a connection, if it has not yet."""
        self._turns.begin()
        if connection.peer in self._broker.peers:
            self._broker.disconnect(connection.peer)

    def linger(self, connection: Member) -> None:
        """See to it that a connection that lingers does not do so for ever."""
        self._lingering.enter(connection)
        self.watch(connection)

    def remove(self, connection: Member) -> None:
        """Forget a connection that is lost."""
        if connection in self._members:
            self._members.remove(connection)
            self.hold(-connection.own_memory)
        self._lingering.leave(connection)
        self._counter.leave(connection.host)
        self._watchdog.ended(connection)

    def watch(self, connection: Member) -> None:
        """Look at a connection now and then until it no longer might stall."""
        self._watchdog.watch(connection)

    def hold(self, change: int) -> None:
        """Count so many bytes more, or less, that connections have in their buffers."""
        self._broker.memory.buffers += change
