"""The binary protocol of the server, mixed with the admin text protocol."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ...commands import BOTH, COMMAND_LIMIT, DEFAULT_PORT, MAX_CLIENT_ID, Command
from ...errors import OptionError, PacketTooLarge, ProtocolError
from ...framing import MAX_BODY, Decoder, Packet
from ...options import parse_job_options
from ..broker import HIGH, LOW, NORMAL, Broker, Peer
from .admin import Admin
from .calendar import next_time
from .describe import describe
from .event_stream import Stream
from .events import Wish
from .fields import number_of, until_nul
from .interface import HIGH_WATER, Protocol, Server, Service, Trace
from .lines import END
from .links.later import Later

# They are called with the peer, and with the arguments of a packet, or the packet.
Verb = Callable[..., None]
Dispatch = Callable[[Peer, Packet], None]

# The seconds of WORK_RETRY, and whether a plus follows; and the most seconds.
_SECONDS = re.compile(rb"(\d{1,10}(?:\.\d{0,9})?)(\+?)")
MAX_PAUSE = 100 * 365 * 24 * 3600.0

# Bytes of input that are split into packets at a time.
_SLICE = 16 * 1024

# Packets that are carried out between two looks at the clock.
_LOOK = 8

_SUBMITS = {
    Command.SUBMIT_JOB: (NORMAL, False),
    Command.SUBMIT_JOB_BG: (NORMAL, True),
    Command.SUBMIT_JOB_HIGH: (HIGH, False),
    Command.SUBMIT_JOB_HIGH_BG: (HIGH, True),
    Command.SUBMIT_JOB_LOW: (LOW, False),
    Command.SUBMIT_JOB_LOW_BG: (LOW, True),
}


class NotYet(Exception):
    """A verb has done nothing: the packet has to be carried out by `dispatch`."""


class Gear(Service):
    """The binary protocol of a server: what it does for each command.

    `greet` is called with the first packet of another server of the cluster.
    """

    port = DEFAULT_PORT
    read_size = 256 * 1024

    def __init__(self, server: Server, admin: Admin) -> None:
        super().__init__(server)
        self._broker = broker = server.broker
        self.admin = admin
        self.verbs: list[Verb] = [_unexpected] * COMMAND_LIMIT
        for command, (priority, background) in _SUBMITS.items():
            self.verbs[command] = _submit(broker, priority, background)
        for command, verb in self._rows():
            self.verbs[command] = verb
        self.greet: Verb = _unexpected

    def _rows(self) -> list[tuple[Command, Verb]]:
        broker = self._broker
        reduce = self._submit_reduce
        return [
            (Command.TEXT, self._text),
            (Command.CAN_DO, _named(broker.workers.can_do)),
            (Command.CANT_DO, _named(broker.workers.cant_do)),
            (Command.RESET_ABILITIES, broker.workers.reset_abilities),
            (Command.PRE_SLEEP, broker.workers.pre_sleep),
            (Command.GRAB_JOB, broker.workers.grab),
            (Command.WORK_STATUS, broker.workers.status),
            (Command.WORK_COMPLETE, broker.workers.complete),
            (Command.WORK_FAIL, _named(broker.workers.fail)),
            (Command.GET_STATUS, _named(broker.get_status)),
            (Command.ECHO_REQ, _echo),
            (Command.SET_CLIENT_ID, _named(_set_client_id)),
            (Command.CAN_DO_TIMEOUT, self._can_do_timeout),
            (Command.WORK_EXCEPTION, broker.workers.exception),
            (Command.OPTION_REQ, _option),
            (Command.WORK_DATA, broker.workers.data),
            (Command.WORK_WARNING, broker.workers.warning),
            (Command.GRAB_JOB_UNIQ, broker.workers.grab_unique),
            (Command.SUBMIT_JOB_SCHED, self._submit_sched),
            (Command.SUBMIT_JOB_EPOCH, self._submit_epoch),
            (Command.SUBMIT_REDUCE_JOB, partial(reduce, background=False)),
            (Command.SUBMIT_REDUCE_JOB_BACKGROUND, partial(reduce, background=True)),
            (Command.GRAB_JOB_ALL, broker.workers.grab_all),
            (Command.GET_STATUS_UNIQUE, _named(broker.get_status_unique)),
            (Command.SUBMIT_JOB_WITH, self._submit_with),
            (Command.GET_RESULT, _named(broker.results.get)),
            (Command.WATCH_JOB, _named(broker.results.watch)),
            (Command.WORK_RETRY, self._work_retry),
            (Command.LINK_HELLO, _not_yet),
        ]

    def connect(
        self, address: str, descriptor: int, trace: Trace | None
    ) -> "GearProtocol":
        peer = Peer(address, descriptor)
        if trace is not None:
            return TracedProtocol(peer, self, trace)
        return GearProtocol(peer, self)

    def dispatch(self, peer: Peer, packet: Packet) -> None:
        """Carry out a packet or line. Raises ProtocolError if its error is fatal."""
        number, arguments = packet
        if isinstance(arguments, ProtocolError):
            self._refuse(peer, arguments)
        elif number == Command.LINK_HELLO:
            self.greet(peer, *arguments)
        else:
            self.verbs[number](peer, *arguments)

    def _refuse(self, peer: Peer, error: ProtocolError) -> None:
        if isinstance(error, PacketTooLarge):
            self._refuse_large(peer, error)
        elif error.code:
            self._broker.refuse(peer, error.code.encode(), error.text.encode())
        if error.fatal:
            raise error

    def _refuse_large(self, peer: Peer, error: PacketTooLarge) -> None:
        broker = self._broker
        if error.handle is None:
            broker.hits.add("max-packet")
            broker.refuse(peer, error.code.encode(), error.text.encode())
        else:
            broker.hits.counts["max-packet"] += 1
            broker.workers.refuse_result(peer, error.handle, error.size, error.limit)

    def _text(self, peer: Peer, line: bytes) -> None:
        answer = self.admin.answer(line, peer.address)
        if isinstance(answer, bytes):
            self._broker.answers.write(peer, answer)
        elif isinstance(answer, Wish):
            Stream(self.server.events, peer, answer)
        elif isinstance(answer, Later):
            answer.begin(peer)
        else:
            peer.answering = answer

    def _can_do_timeout(self, peer: Peer, name: bytes, timeout: bytes) -> None:
        """Register a function with a timeout in milliseconds; below 1 there is none."""
        milliseconds = number_of(until_nul(timeout))
        if milliseconds is None:
            text = b"Timeout is not a number of milliseconds"
            return peer.refuse(b"INVALID_ARGUMENTS", text)
        return self._broker.workers.can_do(peer, name, max(milliseconds, 0) / 1000)

    def _submit_epoch(
        self, peer: Peer, name: bytes, unique: bytes, epoch: bytes, workload: bytes
    ) -> None:
        """Submit a background job that runs not before `epoch` (seconds since 1970)."""
        when = number_of(epoch)
        if when is None:
            text = b"Epoch is not a number of seconds"
            return peer.refuse(b"INVALID_ARGUMENTS", text)
        return self._broker.submit(
            peer, name, unique, workload, background=True, when=max(when, 0)
        )

    def _submit_sched(
        self, peer: Peer, name: bytes, unique: bytes, *fields: bytes
    ) -> None:
        """Submit a background job that runs in the first minute that fits."""
        *when, workload = fields
        broker = self._broker
        try:
            time = next_time(tuple(when), broker.wall)
        except ValueError as error:
            return peer.refuse(b"INVALID_ARGUMENTS", str(error).encode())
        return broker.submit(peer, name, unique, workload, background=True, when=time)

    def _submit_with(
        self, peer: Peer, name: bytes, unique: bytes, options: bytes, workload: bytes
    ) -> None:
        """Submit a job with options."""
        try:
            found = parse_job_options(options)
        except OptionError as error:
            return self._broker.refuse(peer, b"INVALID_ARGUMENTS", str(error).encode())
        return self._broker.submit_with(peer, name, unique, workload, found)

    def _work_retry(
        self, peer: Peer, handle: bytes, seconds: bytes, reason: bytes
    ) -> None:
        """Try a job again in some seconds; with a plus, that is no failed attempt."""
        found = _SECONDS.fullmatch(seconds)
        pause = float(found[1]) if found is not None else MAX_PAUSE + 1
        if found is None or pause > MAX_PAUSE:
            text = b"Seconds of WORK_RETRY are not a number, or over a hundred years"
            return peer.refuse(b"INVALID_ARGUMENTS", text)
        return self._broker.workers.retry(peer, handle, pause, reason, not found[2])

    def _submit_reduce(
        self,
        peer: Peer,
        name: bytes,
        unique: bytes,
        reducer: bytes,
        aggregator: bytes,
        workload: bytes,
        *,
        background: bool,
    ) -> None:
        """Submit a job with a reducer; the aggregator is ignored, as by gearmand."""
        self._broker.submit(
            peer, name, unique, workload, background=background, reducer=reducer
        )


class GearProtocol(Protocol):
    """A connection that speaks the binary protocol, mixed with the admin protocol.

    In each turn, requests are carried out for a limited time, so that other peers are
    served. While more than HIGH_WATER bytes of answers wait, none is carried out.
    """

    def __init__(self, peer: Peer, gear: Gear) -> None:
        super().__init__(peer)
        self._gear = gear
        self._dispatch: Dispatch = gear.dispatch
        self._verbs: Sequence[Verb] | None = gear.verbs
        self._decoder = Decoder(
            max_packet=gear.server.max_packet, lines=True, skip_large=True
        )
        # Packets that were not carried out yet, and the input after them.
        self._packets: deque[Packet] = deque()
        self._input = b""
        # About how many bytes these packets take.
        self._packet_bytes = 0
        self._room: float = HIGH_WATER

    @property
    def buffered(self) -> int:
        return self._decoder.buffered or int(self._decoder.unfinished)

    @property
    def kept(self) -> int:
        if not (self.ready or self._decoder.unfinished):
            return 0
        packets = self._packet_bytes if self._packets else 0
        return self.buffered + len(self._input) + packets

    def receive(self, data: bytes) -> None:
        peer = self.peer
        if self.ready or len(data) > _SLICE or peer.size > self._room:
            self._input += data
            self.resume()
            return
        packets = self._decoder.feed(data)
        try:
            done = self._carry_out_few(packets)
        except ProtocolError as error:
            self.error = error
            return
        if done < len(packets):
            self._packets.extend(packets[done:])
            # Only the first packet may be larger: it is carried out in any case.
            self._packet_bytes = len(data)
            self.resume()

    def _carry_out_few(self, packets: Iterable[tuple[int, Any]]) -> int:
        """Carry out the first packets, until the time is used up.

        Returns how many. What takes long or is wrong is left to `resume`.
        """
        peer, verbs, late = self.peer, self._verbs, self._gear.server.late
        done = 0
        if verbs is not None and len(peer.functions) <= _LOOK:
            try:
                for number, arguments in packets:
                    if number <= 0:
                        break
                    verbs[number](peer, *arguments)
                    done += 1
                    if peer.size > HIGH_WATER or (not done % _LOOK and late()):
                        break
            except NotYet:
                pass
        return done

    def resume(self) -> None:
        try:
            self._carry_out()
        except ProtocolError as error:
            self._packets.clear()
            self._input = b""
            self.error = error
        if self._packets or self._input or self.peer.answering is not None:
            self.ready = self.paused = True
            # So that the connection calls `resume` at the end of the turn.
            self.peer.write(b"")
        else:
            self.ready = self.paused = False

    def _carry_out(self) -> None:
        """Make pieces of an answer, and carry out packets, until the time is used up.

        The clock is looked at after _LOOK packets, and after each that may take long.
        """
        peer, packets, server = self.peer, self._packets, self._gear.server
        done = 0
        while peer.size <= self._room:
            if peer.answering is not None:
                if self._answer_on(peer.answering):
                    continue
                done = _LOOK
            elif packets:
                packet = packets.popleft()
                self._dispatch(peer, packet)
                if not packet[0] or len(peer.functions) > _LOOK:
                    done = _LOOK
                done += 1
            elif self._input:
                # The rest of one large packet, or possibly many small ones.
                size = len(self._input) if self._decoder.buffered else _SLICE
                data, self._input = self._input[:size], self._input[size:]
                self._split(data)
                continue
            else:
                break
            if done >= _LOOK:
                done = 0
                answering = peer.answering is not None
                if server.half_late() if answering else server.late():
                    break

    def widen(self, dispatch: Dispatch, max_packet: int) -> None:
        """Give packets of both magics to a function, whatever waits to be sent."""
        self._decoder.widen(max_packet)
        self._room = float("inf")
        self._dispatch, self._verbs = dispatch, None

    def _split(self, data: bytes) -> None:
        """Split input into packets, to be carried out next."""
        self._packet_bytes = self._decoder.buffered + len(data)
        self._packets.extend(self._decoder.feed(data))

    def _answer_on(self, pieces: Iterator[bytes]) -> bool:
        """Make the next step of an answer. Returns whether to go on at once.

        This is so after the end of a list: the answers to several lines that came
        together leave together, for monitors that read once only.
        """
        piece = next(pieces, None)
        if piece is None:
            self.peer.answering = None
        else:
            self.peer.write(piece)
        return piece is None or piece.endswith(END)

    def pieces_to_send(self) -> list[bytes]:
        pieces, self.peer.outbox = self.peer.outbox, []
        self.peer.size = 0
        return pieces


class TracedProtocol(GearProtocol):
    """A connection that logs its packets, by calling `trace` with a line for each."""

    def __init__(self, peer: Peer, gear: Gear, trace: Trace) -> None:
        super().__init__(peer, gear)
        self._trace = trace
        self._verbs = None
        self._dispatch = _traced(gear.dispatch, trace)

    def widen(self, dispatch: Dispatch, max_packet: int) -> None:
        super().widen(_traced(dispatch, self._trace), max_packet)

    def data_to_send(self) -> bytes:
        self._log_sent([data := super().data_to_send()])
        return data

    def pieces_to_send(self) -> list[bytes]:
        self._log_sent(pieces := super().pieces_to_send())
        return pieces

    def _log_sent(self, pieces: list[bytes]) -> None:
        sent = Decoder(BOTH, max_packet=MAX_BODY, lines=True)
        for piece in pieces:
            for packet in sent.feed(piece):
                self._trace(f"sent {describe(packet)}")


def _traced(dispatch: Dispatch, trace: Trace) -> Dispatch:
    def run(peer: Peer, packet: Packet) -> None:
        trace(f"received {describe(packet)}")
        dispatch(peer, packet)

    return run


def _submit(broker: Broker, priority: int, background: bool) -> Verb:
    def run(peer: Peer, name: bytes, unique: bytes, workload: bytes) -> None:
        broker.submit(peer, name, unique, workload, priority, background)

    return run


def _named(verb: Callable[[Peer, bytes], None]) -> Verb:
    """Cut a name at its first NUL: some clients send one after the last argument."""

    def run(peer: Peer, name: bytes) -> None:
        verb(peer, until_nul(name))

    return run


def _echo(peer: Peer, data: bytes) -> None:
    peer.send(Command.ECHO_RES, (data,))


def _option(peer: Peer, name: bytes) -> None:
    option = until_nul(name).lower()
    if option == b"exceptions":
        peer.exceptions = True
    elif option == b"extensions":
        peer.extensions = True
    elif option == b"traces":
        peer.traces = True
    else:
        text = b"Server does not recognize given option"
        return peer.refuse(b"UNKNOWN_OPTION", text)
    return peer.send(Command.OPTION_RES, (name,))


def _set_client_id(peer: Peer, client_id: bytes) -> None:
    # gearmand truncates it as well, to 127 bytes.
    peer.client_id = client_id[:MAX_CLIENT_ID]


def _unexpected(peer: Peer, *arguments: bytes) -> None:
    peer.refuse(b"INVALID_COMMAND", b"Command not expected")


def _not_yet(peer: Peer, *arguments: bytes) -> None:
    raise NotYet
