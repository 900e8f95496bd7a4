"""The interface of the server's protocols: bytes in, bytes out, no I/O.

A protocol consists of two classes. A `Service` exists once in a server: it has the
port and the options of the protocol. For each connection it makes a `Protocol`, which
turns bytes into calls of the broker's verbs, and the broker's answers into bytes.
docs/protocols.md says how to write a protocol.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, ClassVar

from ...commands import MAX_PACKET
from ...errors import ProtocolError
from ...queue import Option
from ..broker import Broker, Peer
from ..networks import LOOPBACK, Network, contains
from .events import Events

__all__ = ["Option", "Peer", "Protocol", "Recipient", "Server", "Service", "Trace"]

# Bytes. While more wait for a peer, no more of its requests are carried out.
HIGH_WATER = 1024 * 1024

# Called with a line of text for each request and answer, if the log shows them.
Trace = Callable[[str], None]

# Called with a message of the broker to a peer: a command's number, and its arguments.
Deliver = Callable[[int, tuple[bytes, ...]], None]


@dataclass(slots=True)
class Server:
    """The parts and settings of a server that its protocols may use.

    `broker.now` is the time of the turn, in seconds. No request may be larger than
    `max_packet` bytes. A peer has `request_timeout` seconds to go on with a request.
    `changers` are the networks of --admin-from. While the server is `draining`, it runs
    until no job is left, and protocols should accept no new jobs. `late()` says that
    other connections should be served: leave the rest of a long task to a later turn.
    `half_late()` says so earlier, for an answer that is made in steps.
    `events` tells listeners what happens.
    """

    broker: Broker
    version: str
    max_packet: int = MAX_PACKET
    request_timeout: float = 30.0
    changers: Sequence[Network] = LOOPBACK
    draining: bool = False
    # The machine's name.
    hostname: str = ""
    # What the broker does not know, for statistics: version, connections, store.
    facts: Callable[[], Mapping[str, Any]] = dict
    # For how many functions there are metrics.
    metrics_functions: int = 1000
    # By default never: bool() is False.
    late: Callable[[], bool] = bool
    half_late: Callable[[], bool] = bool
    events: Events = field(init=False)

    def __post_init__(self) -> None:
        self.events = Events(self.broker)

    def may_change(self, peer: Peer) -> bool:
        """Whether a peer may change other peers' jobs, for example cancel them.

        This is so for the networks `changers` (--admin-from), and for Unix sockets.
        """
        return contains(self.changers, peer.address)


def _deliver_nothing(command: int, arguments: tuple[bytes, ...]) -> None:
    """Ignore a message, since the connection is lost."""


class Recipient(Peer):
    """A peer that passes the broker's messages to a function, instead of packing them.

    `address` is the peer's IP address or `unix`, `descriptor` that of its socket.
    `deliver` is called with the number of a command and its arguments. It is called
    while the broker carries out a verb, so it must not call the broker; it may write to
    this peer. If it raises, only this peer's connection is closed.
    """

    def __init__(self, address: str, descriptor: int, deliver: Deliver) -> None:
        super().__init__(address, descriptor)
        self._deliver = deliver

    def send(self, command: int, arguments: tuple[bytes, ...]) -> None:
        try:
            self._deliver(command, arguments)
        except Exception as error:
            if self.connection is None:
                raise
            self.connection.broken(error)
            # So that the event loop notices this, also while the engine waits.
            self.write(b"")

    def repeat(self, times: int, command: int, arguments: tuple[bytes, ...]) -> None:
        for _ in range(times):
            self.send(command, arguments)

    def break_cycle(self) -> None:
        """Break the reference cycle with a protocol whose connection is lost."""
        self._deliver = _deliver_nothing


class Protocol(ABC):
    """The server's side of a protocol, for one connection.

    The connection passes its input to `receive`, and sends the result of `data_to_send`
    at the end of each turn in which something was written to `peer`. The attributes
    tell the connection what to do:

    - `error` (a ProtocolError) or `finished`: close once all data was sent;
    - `paused`: read no input;
    - `ready`: call `resume` after data was sent;
    - `deadline` (on the clock of the broker's `now`, in seconds; inf for none): call
      `expire` then, or up to about a second later.

    The connection looks at them after each call of a method, and after each write to
    the peer; b"" is enough. If a method raises, the connection is closed.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.error: ProtocolError | None = None
        self.finished = False
        self.paused = False
        self.ready = False
        self.deadline = inf

    @abstractmethod
    def receive(self, data: bytes) -> None:
        """Add input from the peer, and carry out each request that is complete.

        `data` has from 1 to `Service.read_size` bytes.
        """

    @property
    def buffered(self) -> int:
        """How many bytes of an incomplete request are kept.

        While this is above 0, the peer must send more within --request-timeout seconds.
        Otherwise it is disconnected without an answer.
        """
        return 0

    @property
    def kept(self) -> int:
        """About how many bytes of memory the received input takes."""
        return self.buffered

    def resume(self) -> None:
        """Carry out requests that waited, for example for an earlier answer.

        Called after data was sent if `ready` is true.
        """
        self.ready = False

    def expire(self) -> None:
        """React to the deadline: set a later one, answer, or set `finished`."""
        self.finished = True

    def data_to_send(self) -> bytes:
        """Return all data that waits for the peer, and remove it from the outbox."""
        peer = self.peer
        data = b"".join(peer.outbox)
        peer.outbox.clear()
        peer.size = 0
        return data

    def pieces_to_send(self) -> list[bytes]:
        """Return the same data in pieces, to avoid a copy of it.

        Called instead of `data_to_send` if much data waits. It may leave some of it in
        the outbox: it is called again for the rest once the pieces were sent.
        """
        return [self.data_to_send()]


class Service(ABC):
    """A protocol of the server: the part that all of its connections share.

    The protocol is spoken on `port` of each host that the server listens on; the option
    --NAME-port overrides the port, where NAME is the name after -r. The constructor
    gets the values of the given `options` by keyword. It raises ConfigurationError if
    one can't be used; the text is a sentence that says what to do.
    """

    port: ClassVar[int]
    options: ClassVar[tuple[Option, ...]] = ()
    # Bytes that are read from a connection at once. `receive` gets them in one call,
    # before other connections are served.
    read_size: ClassVar[int] = 32 * 1024
    # Whether connections are also accepted while the server drains.
    stays: ClassVar[bool] = False

    @classmethod  # noqa: B027
    def prepare(cls) -> None:
        """Import all modules that the protocol needs.

        Called once, before the constructor, while the process still runs as the user
        who started it. The user of --user may not be allowed to read the files of this
        Python. Raises ConfigurationError if a module is missing.
        """

    def __init__(self, server: Server) -> None:
        self.server = server

    @abstractmethod
    def connect(self, address: str, descriptor: int, trace: Trace | None) -> Protocol:
        """Return the protocol of a new connection, with a peer of its own.

        `address` is the peer's IP address, or "unix"; `descriptor` is that of its
        socket. `trace` is to be called with a line for each request and answer; it is
        None if the log does not show them.
        """
