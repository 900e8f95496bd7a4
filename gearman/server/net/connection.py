"""One connection of the server: a transport on one side, a protocol on the other.

The transport is asyncio's, or for plain sockets a channel of the compiled engine,
which is transport, peer and protocol in one.

A connection that the server ends lingers until its peer has had the last answer: see
`lingering`. To the broker it is gone by then.

Back-pressure works both ways. A peer that does not take what it is sent is blocked:
it is not read from, and neither is whoever produces for it, until it has caught up.
"""

import asyncio
import logging
import socket
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ...errors import ProtocolError
from ...sockets import keep_alive
from ..broker import Peer
from ..protocols.interface import HIGH_WATER, Protocol, Service, Trace
from .lingering import LINGER_BYTES, LINGER_TIME
from .outgoing import Outgoing
from .sockets import Address, describe, host_of, hung_up

if TYPE_CHECKING:
    from ..storage.durability import Durability
    from .listener import Listener

# What must be left for a peer that was blocked to count as caught up (bytes). It is
# blocked from HIGH_WATER on.
LOW_WATER = 256 * 1024

# From so many bytes on, what is to be sent is not put together.
MUCH = 4 * 1024 * 1024

log = logging.getLogger("gearman.server")


class Connection(asyncio.BufferedProtocol):
    """Moves bytes between a socket and a protocol, on behalf of a listener."""

    # What a connection that does nothing takes, as measured (bytes of memory).
    own_memory: ClassVar[int] = 4700

    peer: Peer
    protocol: Protocol
    _transport: Outgoing

    def __init__(
        self, listener: "Listener", service: Service, address: Address
    ) -> None:
        self._listener = listener
        self._service = service
        self._address = address
        self.host = host_of(address)
        self.made = False
        self._input = listener.input[: service.read_size]
        self.name = "?"
        # Blocked connections, this one possibly among them, for whose sake this one
        # is not read, and the store if it is for its sake; and the other way round.
        self._held_by: set[Connection | Durability] = set()
        self._holds: set[Connection] = set()
        # Whether the protocol was paused when it was last asked.
        self._paused = False
        self.closing = False
        # Whether the peer's outbox still has some of what is much, and whether that is
        # all that the peer waits for.
        self._unsent = self._ended = False
        # Whether it only waits for the peer to close, and what it has read meanwhile.
        self._lingers = False
        self._dropped = 0
        # When something last moved, on the loop's clock, and what waited then.
        self.progress = 0.0
        self._waiting = 0
        # The size of the largest packet among what waits.
        self._largest = 0
        # How many bytes its buffers take, as the listener counts it; none once it was
        # aborted or lost.
        self._held = 0
        self._gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self._outgoing(transport)
        self._transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        sock = transport.get_extra_info("socket")
        self.name = self._name(sock.fileno())
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            probes = self._listener.config.keepalive
            if probes is not None:
                keep_alive(sock, probes.idle, probes.interval, probes.count)
        self._attach(self.host, sock.fileno())
        self._listener.add(self)
        self.made = True
        if not self._may_read():
            asyncio.get_running_loop().call_soon(self._pause_again)
        log.info("%s: connected", self.name)

    def _outgoing(self, transport: asyncio.BaseTransport) -> Outgoing:
        return Outgoing(cast("asyncio.Transport", transport), self)

    def _pause_again(self) -> None:
        """Do not read, though the transport may have begun to.

        In Python 3.11.2 it does so after `connection_made`, even if it was paused.
        """
        if not (self._may_read() or self.closing):
            self._transport.resume_reading()
            self._transport.pause_reading()

    def _attach(self, host: str, descriptor: int) -> None:
        """Make the protocol and its peer."""
        self._listener.begin_turn()
        trace = _trace(self.name)
        self.protocol = self._service.connect(host, descriptor, trace)
        self.peer = self.protocol.peer
        self.peer.connection = self
        self._obey()

    def _name(self, descriptor: int) -> str:
        """Return the peer's name for the log."""
        if isinstance(self._address, tuple):
            return describe(self._address)
        return f"unix:{descriptor}"

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._input

    def buffer_updated(self, nbytes: int) -> None:
        if self._lingers:
            self.drop(nbytes)
            return
        self._listener.begin_turn()
        self.protocol.receive(bytes(self._input[:nbytes]))
        if self.protocol.error is not None:
            self.flush()
        elif self.protocol.buffered:
            self.partial()
        self._account()
        self._obey()

    def _obey(self) -> None:
        """Do what the protocol wants of the connection, now that it was at work."""
        protocol = self.protocol
        if self.closing:
            return
        if protocol.finished or protocol.error is not None:
            if not self.peer.outbox:
                self.end(protocol.error)
            return
        if protocol.paused is not self._paused:
            self._paused = protocol.paused
            self._read_or_not()
        if protocol.deadline < inf or protocol.paused:
            self._listener.watch(self)

    def _read_or_not(self) -> None:
        if self._may_read():
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _may_read(self) -> bool:
        return not self._held_by and not self.protocol.paused

    def eof_received(self) -> bool:
        """The peer is done, and has some time left to take what waits for it."""
        if self.peer.outbox:
            self._ended = True
            return True
        self.closing = True
        self.progress = self._listener.time()
        self._listener.watch(self)
        self._transport.close()
        # That is all; asyncio would not wait for what is in line before its transport.
        return True

    def memory(self) -> int:
        """Return how many bytes of memory its buffers take."""
        return self._held

    def _account(self) -> None:
        """Have counted what its buffers take now."""
        held = 0
        if not self._gone:
            held = self.protocol.kept + self.peer.size + self._transport.memory()
        if held != self._held:
            self._listener.hold(held - self._held)
            self._held = held

    def waiting(self) -> int:
        """Return how many bytes wait for the peer."""
        return self._transport.get_write_buffer_size()

    def partial(self) -> None:
        """Part of a request has come: see to it that the rest comes as well."""
        self.progress = self._listener.time()
        self._listener.watch(self)

    def flush(self) -> None:
        """Send what waits for the peer."""
        try:
            if self._listener.config.max_outbox and not self._unsent:
                self._look_for_largest()
            if self.peer.size > MUCH or self._unsent:
                self._write_much()
            else:
                self._write(self.protocol.data_to_send())
            self._go_on()
            self._account()
        except Exception as error:
            self.broken(error)

    def _look_for_largest(self) -> None:
        """Let one packet of any size wait: it would be as large the next time."""
        if not self._transport.get_write_buffer_size():
            self._largest = 0
        self._largest = max(self._largest, *map(len, self.peer.outbox), 0)

    def _write_much(self) -> None:
        """Write some of what is much; the rest follows when this was sent."""
        if self._unsent and self._transport.busy:
            return
        if self.closing:
            self.peer.outbox.clear()
            self.peer.size = 0
            return
        pieces = self.protocol.pieces_to_send()
        self._unsent = bool(self.peer.outbox)
        self._transport.rest = self.peer.size
        self._transport.write_all(pieces)
        self._look_for_overflow()
        if self._unsent and not self._transport.busy:
            self._listener.touch(self.peer)
        if self._ended and not self._unsent:
            self.eof_received()

    def _write(self, data: bytes) -> None:
        if data and not self.closing:
            self._transport.write(data)
            self._look_for_overflow()

    def _look_for_overflow(self) -> None:
        if self._listener.config.max_outbox:
            waiting = self.waiting()
            if self._listener.config.max_outbox < waiting - self._largest:
                self.overflow(waiting)

    def _go_on(self) -> None:
        """Let the protocol go on, unless others are to catch up first."""
        if self.protocol.ready and not (self._held_by or self.closing):
            self._listener.begin_turn()
            self.protocol.resume()
        self._obey()

    def broken(self, error: Exception) -> None:
        """End a connection whose protocol has a bug; no other is to suffer."""
        text = f"{self.name}: a bug in its protocol"
        self._listener.complain("bug", text, error)
        self.abort("bugs", "its protocol failed")

    def overflow(self, waiting: int) -> None:
        text = f"{waiting} bytes wait for it, more than --max-outbox allows"
        self.abort("max-outbox", text)

    def pause_writing(self) -> None:
        self._transport.fill()

    def resume_writing(self) -> None:
        self._transport.free()
        self._account()

    def sent(self) -> None:
        """Go on with what is much, since what was written of it is sent."""
        if self._unsent:
            self.flush()

    def fell_behind(self) -> None:
        """Too much waits for the peer: read neither from it nor from its producers."""
        self.peer.blocked = True
        self._waiting = self._transport.get_write_buffer_size()
        self.progress = self._listener.time()
        self._listener.watch(self)
        self.hold(self)

    def caught_up(self) -> None:
        """Read again from this peer and those that produce for it."""
        self.peer.blocked = False
        producers, self._holds = self._holds, set()
        for producer in producers:
            producer.released_by(self)

    def hold(self, producer: "Connection") -> None:
        """Stop reading from a connection that produces for this blocked one."""
        if not producer.closing:
            self._holds.add(producer)
            producer.held(self)

    def held(self, blocked: "Connection | Durability") -> None:
        if not self._held_by:
            self._transport.pause_reading()
        self._held_by.add(blocked)

    def released_by(self, blocked: "Connection | Durability") -> None:
        self._held_by.discard(blocked)
        if self._may_read() and not self.closing:
            self.progress = self._listener.time()
            self._transport.resume_reading()
        try:
            self._go_on()
        except Exception as error:
            self.broken(error)

    def end(self, error: ProtocolError | None) -> None:
        """Close, because of an error or not, once the peer has had what it was sent."""
        if error is not None:
            self._complain(_limit_of(error), error)
        self._last_words()
        self.closing = self._lingers = True
        self._part()
        self.progress = self._listener.time()
        self._listener.linger(self)
        # It may fail where the peer has gone.
        with suppress(OSError):
            self._transport.write_eof()
        self._transport.resume_reading()

    def drop(self, size: int) -> None:
        """Ignore bytes that came while the connection lingers."""
        self._dropped += size
        if self._dropped > LINGER_BYTES:
            self.cut_off()

    def cut_off(self) -> None:
        """Close now: the peer had the time that there was."""
        self._transport.abort()

    def close(self) -> None:
        """Close once everything that waits was sent."""
        self._last_words()
        self.closing = True
        self._listener.watch(self)
        self._transport.close()

    def _last_words(self) -> None:
        """Send what the peer is to know of the end: in TLS, that it is no accident."""

    def abort(self, limit: str, reason: str) -> None:
        """Close now: a limit is hit."""
        self._complain(limit, reason)
        self.closing = True
        self._transport.abort()
        self._gone = True
        self._account()

    def _complain(self, limit: str, reason: object) -> None:
        self._listener.count(limit)
        self._listener.complain(limit, f"{self.name}: closed: {reason}")

    def check(self, now: float) -> bool:
        """Close the connection if it stalls. Returns whether to look at it again."""
        config = self._listener.config
        if self._lingers:
            self._look_at_lingering(now)
            return True
        self._look_at_deadline(now)
        if self._paused and not (self.protocol.ready or self.closing):
            self._look_for_end()
        waiting = self._transport.get_write_buffer_size()
        if waiting and (self.peer.blocked or self.closing):
            if waiting != self._waiting:
                self._waiting, self.progress = waiting, now
            elif now - self.progress > config.write_timeout:
                seconds = f"{config.write_timeout:g} seconds"
                text = f"it took nothing of what waits for it for {seconds}"
                self.abort("write-timeout", text)
            return True
        if self.closing or not self.protocol.buffered:
            return self._has_deadline() or (self._paused and not self.closing)
        if not self._held_by and now - self.progress > config.handshake_timeout:
            seconds = f"{config.handshake_timeout:g} seconds"
            text = f"it sent part of a request and then nothing for {seconds}"
            self.abort("handshake-timeout", text)
        return True

    def _look_at_lingering(self, now: float) -> None:
        waiting = self._transport.get_write_buffer_size()
        if waiting != self._waiting:
            self._waiting, self.progress = waiting, now
        elif now - self.progress > LINGER_TIME:
            self.cut_off()

    def _has_deadline(self) -> bool:
        return self.protocol.deadline < inf and not self.closing

    def _look_for_end(self) -> None:
        """Notice that the peer has hung up, which nobody reads from now."""
        if hung_up(self._transport.get_extra_info("socket").fileno()):
            self.close()

    def _look_at_deadline(self, now: float) -> None:
        if self._has_deadline() and self.protocol.deadline <= now:
            self._listener.begin_turn()
            try:
                self.protocol.expire()
                self._obey()
            except Exception as error:
                self.broken(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = self._gone = True
        self._account()
        self._part()
        self._listener.remove(self)
        log.info("%s: disconnected%s", self.name, f": {exc}" if exc else "")
        # After the end of the turn, in which it may have been touched.
        asyncio.get_running_loop().call_soon(self._let_go)

    def _part(self) -> None:
        """Let nobody wait for this connection, nor the other way round."""
        self.caught_up()
        for blocked in self._held_by:
            blocked.forget(self)
        self._held_by.clear()
        self._listener.part(self)

    def _let_go(self) -> None:
        """Be freed at once: the collector comes to old cycles now and then only."""
        self.peer.connection = None
        self._transport.let_go()

    def forget(self, producer: "Connection") -> None:
        self._holds.discard(producer)


class EngineConnection(Connection):
    """A connection whose transport is a channel of the engine."""

    own_memory = 1600

    def _outgoing(self, transport: asyncio.BaseTransport) -> Any:
        return transport

    def _attach(self, host: str, descriptor: int) -> None:
        channel: Any = self._transport
        self.peer = self.protocol = channel

    def _may_read(self) -> bool:
        return not self._held_by

    def _has_deadline(self) -> bool:
        return False

    def memory(self) -> int:
        held: int = cast("Any", self._transport).held
        return held

    def _account(self) -> None:
        """Nothing: the channel does."""

    def _go_on(self) -> None:
        """Nothing: a channel does not wait for answers."""

    def failed(self) -> None:
        """The protocol came to an end: say so, and close."""
        self.flush()
        self.end(self.protocol.error)

    def flush(self) -> None:
        cast("Any", self._transport).flush()


def _limit_of(error: ProtocolError) -> str:
    """Return which limit an error is about."""
    return "max-packet" if error.code == "ARGUMENT_TOO_LARGE" else "bad-input"


def _trace(name: str) -> Trace | None:
    if not log.isEnabledFor(logging.DEBUG):
        return None
    return lambda text: log.debug("%s: %s", name, text)
