"""One connection of the server: a transport on one side, a protocol on the other.

This base class serves both kinds of connection: `stream` has those on asyncio's
transports, `channel` those of the compiled engine.

A connection that the server ends lingers until its peer has received the last answer:
see `lingering`. The broker has forgotten the peer by then.
"""

import asyncio
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum, auto
from typing import ClassVar

from ...blocking.sockets import keep_alive
from ...errors import ProtocolError
from ..broker import Links, Peer, Remote
from ..protocols.gear import Dispatch
from ..protocols.interface import Protocol
from .back_pressure import HIGH_WATER, LOW_WATER, BackPressure
from .context import Context
from .lingering import LINGER_BYTES, LINGER_TIME
from .peers import Address, describe, host_of
from .transport import Transport

log = logging.getLogger("gearman.server")


class State(IntEnum):
    """The state of a connection; it only moves forward."""

    NEW = auto()
    OPEN = auto()
    # The peer sends no more, but data in its outbox must still be sent to it.
    ENDING = auto()
    # The server closes the connection once all data was sent.
    CLOSING = auto()
    # The server sends no more, and drops what it reads until the peer closes.
    LINGERING = auto()
    GONE = auto()


class Connection(ABC):
    """Moves bytes between a socket and a protocol, in the context of a server."""

    # Memory of an idle connection, as measured (bytes).
    own_memory: ClassVar[int]

    peer: Peer
    protocol: Protocol
    _transport: Transport

    def __init__(self, context: Context, address: Address) -> None:
        self._context = context
        self._address = address
        self.host = host_of(address)
        self.name = "?"
        self._state = State.NEW
        # Whether the state is at least CLOSING, or is ENDING. Each read and write looks
        # at that, and to look up a member of an enum takes long.
        self.closing = self._ending = False
        self.pressure = BackPressure(self)
        # When data last moved, on the loop's clock, and how many bytes waited then.
        self.progress = 0.0
        self._waiting = 0
        # Bytes that were read while it lingered.
        self._dropped = 0
        # If it is a link to another server, or to become one: what is told, once, when
        # it ends, with the reason. Nothing else is logged about it then.
        self.lost: Callable[[str], None] | None = None
        self._reason = ""

    @property
    def made(self) -> bool:
        return self._state > State.NEW

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self._wrapped(transport)
        self._transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        sock = transport.get_extra_info("socket")
        self.name = self._name(sock.fileno())
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            probes = self._context.config.keepalive
            if probes is not None:
                keep_alive(sock, probes.idle, probes.interval, probes.count)
        self._attach(sock.fileno())
        self._context.connections.add(self)
        self._advance(State.OPEN)
        if not self._may_read():
            asyncio.get_running_loop().call_soon(self._pause_again)
        log.info("%s: connected", self.name, extra=self._facts("connected"))

    def _advance(self, state: State) -> None:
        self._state = max(self._state, state)
        self._ending = self._state is State.ENDING
        self.closing = self._state >= State.CLOSING

    @abstractmethod
    def _wrapped(self, transport: asyncio.BaseTransport) -> Transport:
        """Return the transport to use: the one that was given, or one around it."""

    @abstractmethod
    def _attach(self, descriptor: int) -> None:
        """Create the protocol and its peer."""

    def _name(self, descriptor: int) -> str:
        """Return the peer's name for the log."""
        if isinstance(self._address, tuple):
            return describe(self._address)
        return f"unix:{descriptor}"

    # -- reading

    def _pause_again(self) -> None:
        """Pause reading again.

        In Python 3.11.2 a transport begins to read after `connection_made`, even if it
        was paused there.
        """
        if not (self._may_read() or self.closing):
            self._transport.resume_reading()
            self._transport.pause_reading()

    def _may_read(self) -> bool:
        return not self.pressure.held_by

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def released(self) -> None:
        """Read again, unless it is still held by anything else."""
        if self._may_read() and not self.closing:
            self.progress = self._context.time()
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        """Close once all data was sent, since the peer sends no more."""
        self._advance(State.CLOSING)
        self.progress = self._context.time()
        self._context.connections.watch(self)
        self._transport.close()
        # True keeps asyncio from closing before the data in `Outgoing` was sent.
        return True

    def partial(self) -> None:
        """Start the time limit for the rest of a request."""
        self.progress = self._context.time()
        self._context.connections.watch(self)

    # -- links

    @property
    def certified(self) -> bool:
        """Whether TLS has verified a certificate of the peer."""
        return False

    @abstractmethod
    def be_link(self, dispatch: Dispatch, max_packet: int) -> None:
        """Give all packets, of both magics, to a function; let any output wait.

        Call it for a connection that speaks gear, when a packet was carried out.
        """

    def carry(self, links: Links | None, remote: Remote | None) -> None:  # noqa: B027
        """Have the broker's links carry out frequent packets of a link directly.

        The others, and all of them after `None`, go to the function as before. Some
        kinds of connections cannot do that.
        """

    def heard(self) -> bool:
        """Whether packets were carried out directly since the last call."""
        return False

    # -- sending

    @abstractmethod
    def flush(self) -> None:
        """Send the data that waits for the peer."""

    @abstractmethod
    def memory(self) -> int:
        """Return the memory of its buffers, in bytes."""

    def waiting(self) -> int:
        """Return how many bytes wait for the peer."""
        return self._transport.get_write_buffer_size()

    def overflow(self, waiting: int) -> None:
        text = f"{waiting} bytes wait for it, more than --max-outbox allows"
        self.abort("max-outbox", text)

    def fell_behind(self) -> None:
        """Block the peer, and start the time limit for it to accept data."""
        self._waiting = self.waiting()
        self.progress = self._context.time()
        self._context.connections.watch(self)
        self.pressure.block()

    def caught_up(self) -> None:
        self.pressure.unblock()

    # -- the end

    def end(self, error: ProtocolError | None) -> None:
        """Close, because of an error or not, once the peer has received all data."""
        if error is not None:
            self._complain(_limit_of(error), error)
        self._announce_end()
        self._advance(State.LINGERING)
        self._detach()
        self.progress = self._context.time()
        self._context.connections.linger(self)
        # It may fail if the peer has gone.
        with suppress(OSError):
            self._transport.write_eof()
        self._transport.resume_reading()

    def drop(self, size: int) -> None:
        """Ignore bytes that came while the connection lingers."""
        self._dropped += size
        if self._dropped > LINGER_BYTES:
            self.cut_off()

    def cut_off(self) -> None:
        """Close now, since the time or the bytes for lingering are used up."""
        self._transport.abort()

    def close(self) -> None:
        """Close once all waiting data was sent."""
        self._announce_end()
        self._advance(State.CLOSING)
        self._context.connections.watch(self)
        self._transport.close()

    def _announce_end(self) -> None:  # noqa: B027
        """Announce the end to the peer, if the protocol has a message for it (TLS)."""

    def broken(self, error: Exception) -> None:
        """End this connection, whose protocol has a bug, and no other one."""
        text = f"{self.name}: a bug in its protocol"
        self._context.report.complain("bug", text, error, self._who)
        self.abort("bugs", "its protocol failed")

    def abort(self, limit: str, reason: str) -> None:
        """Close now, because of a limit; `reason` is for the log."""
        self._complain(limit, reason)
        self._advance(State.GONE)
        self._transport.abort()

    def _complain(self, limit: str, reason: object) -> None:
        self._context.report.count(limit)
        self._reason = str(reason)
        if self.lost is None:
            text = f"{self.name}: closed: {reason}"
            self._context.report.complain(limit, text, facts=self._who)

    def _who(self) -> dict[str, object]:
        return {"peer": self.name}

    def _facts(self, event: str) -> dict[str, object]:
        """Return the facts of a record of the log."""
        return {"facts": {"event": event, "peer": self.name}}

    def connection_lost(self, exc: Exception | None) -> None:
        self._advance(State.GONE)
        self._reason = self._reason or str(exc or "")
        self._detach()
        self._context.connections.remove(self)
        log.info(
            "%s: disconnected%s",
            self.name,
            f": {exc}" if exc else "",
            extra=self._facts("disconnected"),
        )
        # After the end of the turn, since the peer may have been touched in it.
        asyncio.get_running_loop().call_soon(self._break_cycles)

    def _detach(self) -> None:
        """Take the connection out of everything that others wait for."""
        self.pressure.end()
        self.tell_lost()
        self._context.connections.part(self)

    def tell_lost(self) -> None:
        """Call `lost`, once."""
        if self.lost is not None:
            lost, self.lost = self.lost, None
            lost(self._reason or "the other side has closed the connection")

    def _break_cycles(self) -> None:
        """Break reference cycles, so that all is freed now.

        The garbage collector looks at old objects rarely, and then for a long time.
        """
        self.peer.connection = None
        if self.protocol.error is not None:
            # It refers to the error, and to all that was called when that was raised.
            self.protocol.error.__traceback__ = None
        self._transport.break_cycle()
        self.pressure.break_cycle()
        self._context.connections.freed(self.peer)

    # -- time limits

    def check(self, now: float) -> bool:
        """Close the connection if it has stalled; return whether to check it again.

        `now` is on the loop's clock, in seconds.
        """
        if self._state is State.LINGERING:
            if self._stands_still(now) and now - self.progress > LINGER_TIME:
                self.cut_off()
            return True
        self._check_protocol(now)
        config = self._context.config
        if self.waiting() and (self.peer.blocked or self.closing):
            if self._stands_still(now) and now - self.progress > config.write_timeout:
                seconds = f"{config.write_timeout:g} seconds"
                text = f"it accepted no data for {seconds}"
                self.abort("write-timeout", text)
            return True
        if self.closing or not self.protocol.buffered:
            return self._needs_check()
        if not self.pressure.held_by and now - self.progress > config.request_timeout:
            seconds = f"{config.request_timeout:g} seconds"
            text = f"it sent part of a request and then nothing for {seconds}"
            self.abort("request-timeout", text)
        return True

    def _stands_still(self, now: float) -> bool:
        """Whether the peer has accepted no data since the last check."""
        waiting = self.waiting()
        if waiting == self._waiting:
            return True
        self._waiting, self.progress = waiting, now
        return False

    def _check_protocol(self, now: float) -> None:  # noqa: B027
        """Call the protocol if its deadline has come."""

    def _needs_check(self) -> bool:
        """Whether to check the protocol again, although nothing stalls."""
        return False


def _limit_of(error: ProtocolError) -> str:
    """Return the name under which `show limits` counts an error."""
    return "max-packet" if error.code == "ARGUMENT_TOO_LARGE" else "bad-input"
