"""What a protocol of the server is: bytes in, bytes out, no I/O.

A protocol consists of two classes. A `Service` exists once in a server: it says on
which port the protocol is spoken and which options it has. For each connection it
makes a `Protocol`, which turns bytes into calls of the broker's verbs, and what the
broker answers into bytes. docs/protocols.md tells how to write one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar

from ...commands import MAX_PACKET
from ...errors import ProtocolError
from ...queue import Option
from ..broker import Broker, Peer
from ..networks import LOOPBACK, Network, contains

__all__ = ["Option", "Peer", "Protocol", "Recipient", "Server", "Service", "Trace"]

# Bytes that may wait for a peer before no more of its requests are carried out.
HIGH_WATER = 1024 * 1024

# Gets one line of text for each packet or line that came in.
Trace = Callable[[str], None]

# Gets what the broker sends to a peer: the number of a command and its arguments.
Deliver = Callable[[int, tuple[bytes, ...]], None]


@dataclass(slots=True)
class Server:
    """What a protocol may know of the server that it belongs to.

    The broker's `now` is the time of the turn. Sizes are in bytes, times in seconds.
    While it is `draining` the server stays until no job is left, and should be given
    no new ones. What takes long should be left to a later turn as soon as `late` says
    that others are to be served.
    """

    broker: Broker
    version: str
    max_packet: int = MAX_PACKET
    request_timeout: float = 30.0
    changers: Sequence[Network] = LOOPBACK
    draining: bool = False
    # What the machine calls itself.
    hostname: str = ""
    # Nobody is served meanwhile by default: bool() is False.
    late: Callable[[], bool] = bool

    def may_change(self, peer: Peer) -> bool:
        """Whether a peer may do more than submit jobs and look: cancel those of others.

        That is so for the networks `changers` (--admin-from).
        """
        return contains(self.changers, peer.address)


class Recipient(Peer):
    """A peer that hands on what the broker sends, instead of making a packet of it.

    `deliver` is called while the broker is at work, so it must not call the broker;
    it may write to this peer. If it fails, that ends this peer's connection, and not
    the work of the broker.
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
            # Has the event loop look at that, whoever it is waiting in.
            self.write(b"")

    def repeat(self, times: int, command: int, arguments: tuple[bytes, ...]) -> None:
        for _ in range(times):
            self.send(command, arguments)


class Protocol(ABC):
    """One connection's side of a protocol.

    Whoever owns the socket passes on what it reads, sends what `data_to_send`
    returns whenever the peer was touched, and closes the connection once `error` is
    set, or `finished`, and everything was sent. Nothing is read while it is `paused`.
    If it is `ready` after something was sent, `resume` is called. When the broker's
    time has come to `deadline`, about a second later at most, `expire` is called.

    The server looks at these after each call of a method, and after something was
    written to the peer; b"" is enough.
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
        """Take bytes from the peer and act on every request that they complete."""

    @property
    def buffered(self) -> int:
        """How many bytes of an unfinished request are kept.

        As long as there are some, the peer has --request-timeout seconds to send
        more; then it is disconnected without a word.
        """
        return 0

    @property
    def kept(self) -> int:
        """How many bytes of memory it keeps of what it was given, about."""
        return self.buffered

    def resume(self) -> None:
        """Go on with requests that waited for the answer to an earlier one."""
        self.ready = False

    def expire(self) -> None:
        """Do what is due at the deadline: move it, answer, or be finished."""
        self.finished = True

    def data_to_send(self) -> bytes:
        """Return, and forget, all that waits to be sent."""
        outbox = self.peer.outbox
        data = outbox[0] if len(outbox) == 1 else b"".join(outbox)
        outbox.clear()
        self.peer.size = 0
        return data

    def pieces_to_send(self) -> list[bytes]:
        """Return, and forget, the same, without putting it together if need not be.

        It is called instead of `data_to_send` when very much waits; and again, once
        that was sent, for what it has left in the peer's outbox.
        """
        return [self.data_to_send()]


class Service(ABC):
    """A protocol that the server speaks: what its connections have in common.

    It is spoken on `port` of each address that the server listens on; the option
    --NAME-port, made from the name that it is selected by, overrides that. Values of
    `options` that were given are passed to the constructor by keyword. It raises
    ConfigurationError if one can't be used; the text says what to do.
    """

    port: ClassVar[int]
    options: ClassVar[tuple[Option, ...]] = ()
    # Bytes read from a connection at once. All requests among them are carried out
    # before any other connection has its turn.
    read_size: ClassVar[int] = 32 * 1024

    @classmethod  # noqa: B027
    def prepare(cls) -> None:
        """Import all that the protocol will need.

        Called once, before the constructor, by the user who starts the server. That
        which the server becomes then (--user) might not be able to read this Python.
        Raises ConfigurationError if something is missing.
        """

    def __init__(self, server: Server) -> None:
        self.server = server

    @abstractmethod
    def connect(self, address: str, descriptor: int, trace: Trace | None) -> Protocol:
        """Return the protocol of a new connection, with a peer of its own.

        `address` is the peer's, or "unix"; `trace` gets a line for each request if
        the log is to show them.
        """
