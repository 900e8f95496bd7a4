"""A connection on asyncio's transports: for every protocol, on every system."""

import asyncio
import logging
from math import inf
from typing import cast

from ...protocols.gear import Dispatch, GearProtocol
from ...protocols.interface import Protocol, Recipient, Service, Trace
from ..connection import Connection, State
from ..context import Context
from ..peers import Address, hung_up
from .outgoing import Outgoing

# If more bytes are to be sent, they are not joined into one object.
MUCH = 4 * 1024 * 1024

log = logging.getLogger("gearman.server")


class StreamConnection(Connection, asyncio.BufferedProtocol):
    """Passes input to a protocol, and sends the data that it writes to its peer."""

    own_memory = 4700

    _transport: Outgoing
    # What the peer speaks, perhaps inside of TLS.
    _spoken: Protocol

    def __init__(self, context: Context, service: Service, address: Address) -> None:
        super().__init__(context, address)
        self._service = service
        self._input = context.input[: service.read_size]
        self._turns = context.turns
        self._max_outbox = context.config.max_outbox
        # Whether it is to go on in a later turn.
        self._put_off = False
        # Whether the protocol was paused at the last look.
        self._paused = False
        # Whether a part of a large output is still in the peer's outbox.
        self._unsent = False
        # The size of the largest waiting packet, in bytes.
        self._largest = 0
        # The memory of its buffers when it was last counted, in bytes.
        self._memory = 0

    def _wrapped(self, transport: asyncio.BaseTransport) -> Outgoing:
        return Outgoing(cast("asyncio.Transport", transport), self)

    def _attach(self, descriptor: int) -> None:
        self._turns.begin()
        trace = _trace(self.name)
        self._spoken = self._service.connect(self.host, descriptor, trace)
        self.protocol = self._spoken
        self.peer = self.protocol.peer
        self.peer.connection = self
        self._follow_protocol()

    def be_link(self, dispatch: Dispatch, max_packet: int) -> None:
        cast("GearProtocol", self._spoken).widen(dispatch, max_packet)
        self._max_outbox = 0
        self.pressure.reads_on = True

    # -- reading

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._input

    def buffer_updated(self, nbytes: int) -> None:
        if self.closing and self._state is State.LINGERING:
            self.drop(nbytes)
            return
        self._turns.begin()
        protocol = self.protocol
        protocol.receive(bytes(self._input[:nbytes]))
        kept = protocol.kept
        if protocol.error is not None:
            self.flush()
        elif kept and protocol.buffered:
            self.partial()
        if kept or self._memory:
            self._account()
        self._follow_protocol()

    def _follow_protocol(self) -> None:
        """Act on the protocol's attributes: `finished`, `error`, `paused` and so on."""
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
            self._context.connections.watch(self)

    def _read_or_not(self) -> None:
        if self._may_read():
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _may_read(self) -> bool:
        return not (self.pressure.held_by or self.protocol.paused)

    def eof_received(self) -> bool:
        if self.peer.outbox:
            self._advance(State.ENDING)
            return True
        return super().eof_received()

    # -- sending

    def flush(self) -> None:
        try:
            if self._max_outbox and not self._unsent:
                self._look_for_largest()
            if self.peer.size > MUCH or self._unsent:
                self._write_much()
            else:
                data = self.protocol.data_to_send()
                if data and not self.closing:
                    self._transport.write(data)
                    if self._max_outbox:
                        self._look_for_overflow()
            if self._ending:
                self.eof_received()
            if self.protocol.ready and not self._put_off:
                self._put_off = True
                self._turns.put_off(self._resume)
            self._follow_protocol()
            if self._memory or self._transport.busy or self.peer.outbox:
                self._account()
        except Exception as error:
            self.broken(error)

    def _write_much(self) -> None:
        """Write a part of a large output; the rest follows when this was sent."""
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
            self._turns.touch(self.peer)

    def sent(self) -> None:
        """Write the next part of a large output, since all before it was sent."""
        if self._unsent:
            self.flush()

    def _look_for_largest(self) -> None:
        """Remember the largest packet, which --max-outbox does not count.

        To disconnect the peer for it would not help: it would be as large next time.
        """
        if not self.waiting():
            self._largest = 0
        self._largest = max(self._largest, *map(len, self.peer.outbox), 0)

    def _look_for_overflow(self) -> None:
        waiting = self.waiting()
        if 0 < self._max_outbox < waiting - self._largest:
            self.overflow(waiting)

    def _resume(self) -> None:
        """Go on after a turn in which others were served."""
        self._put_off = False
        self._try_to_go_on()

    def _try_to_go_on(self) -> None:
        try:
            if self.protocol.ready:
                self._go_on()
            self._follow_protocol()
        except Exception as error:
            self.broken(error)

    def _go_on(self) -> None:
        """Let the protocol go on, unless this connection is held."""
        if not (self.pressure.held_by or self.closing):
            self._turns.begin()
            self.protocol.resume()
            # What is left may be a part of a request, which nobody has looked at yet.
            if self.protocol.buffered:
                self.partial()

    def released(self) -> None:
        super().released()
        self._try_to_go_on()

    def pause_writing(self) -> None:
        self._transport.set_busy()

    def resume_writing(self) -> None:
        self._transport.set_idle()
        self._account()

    # -- memory

    def memory(self) -> int:
        return self._memory

    def _account(self) -> None:
        """Count the memory of its buffers; it is 0 once the connection is gone."""
        memory = 0
        if self._state is not State.GONE:
            memory = self.protocol.kept + self.peer.size + self._transport.memory()
        if memory != self._memory:
            self._context.connections.hold(memory - self._memory)
            self._memory = memory

    def abort(self, limit: str, reason: str) -> None:
        super().abort(limit, reason)
        self._account()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._account()

    def _break_cycles(self) -> None:
        super()._break_cycles()
        if isinstance(self.peer, Recipient):
            self.peer.break_cycle()

    # -- time limits

    def _check_protocol(self, now: float) -> None:
        if self._has_deadline() and self.protocol.deadline <= now:
            self._expire()
        if self._paused and not (self.protocol.ready or self.closing):
            self._close_if_hung_up()

    def _needs_check(self) -> bool:
        return self._has_deadline() or (self._paused and not self.closing)

    def _has_deadline(self) -> bool:
        return self.protocol.deadline < inf and not self.closing

    def _expire(self) -> None:
        self._turns.begin()
        try:
            self.protocol.expire()
            self._follow_protocol()
        except Exception as error:
            self.broken(error)

    def _close_if_hung_up(self) -> None:
        """Close if the peer has hung up, which a paused connection does not read."""
        if hung_up(self._transport.get_extra_info("socket").fileno()):
            self.close()


def _trace(name: str) -> Trace | None:
    if not log.isEnabledFor(logging.DEBUG):
        return None
    return lambda text: log.debug("%s: %s", name, text)
