"""One HTTP connection: many requests, but one job at a time.

Requests are carried out in order, each after the answer to the one before. Input that
arrives in between is kept up to a limit; after that the peer is not read from.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import Enum, auto
from math import inf
from typing import ClassVar, Final
from typing import Protocol as Interface

import h11

from ....commands import Command
from ...broker import Peer
from ..interface import Protocol, Recipient, Server, Trace
from . import answers
from .answers import DATA, Answer, Headers, Listing, Refused, job_headers
from .exchange import Exchange, cut_head, server_headers
from .results import LOOK, Wait, ended, unfinished
from .routes import Call, Found

# Bytes of later requests that are read while a job runs. Reading goes on because that
# is how a server notices that the peer has hung up.
READ_AHEAD: Final = 32 * 1024

# Bytes of a long answer that are made before they are sent: the system takes about as
# long to send them as the server to make them.
MOST_AT_ONCE: Final = 256 * 1024

# The limit that closed a connection, by the status of the last answer.
_COUNTED: Final = {
    400: "bad-input",
    408: "request-timeout",
    413: "max-packet",
    431: "bad-input",
}

_TRAILER: Final = (b"Trailer", b"X-Gearman-Command")


class _Stage(Enum):
    """What a connection waits for."""

    HEAD = auto()
    BODY = auto()
    JOB = auto()
    # The end of a job that another request has submitted.
    RESULT = auto()
    # The rest of a result, whose first data was sent.
    REST = auto()
    # The next pieces of a long answer.
    LISTING = auto()
    # Nothing more: the connection is closed once all data was sent.
    END = auto()


_BUSY: Final = (_Stage.JOB, _Stage.RESULT, _Stage.REST, _Stage.LISTING)


class Finder(Interface):
    """Finds out what the requests to a server ask for."""

    server: Server

    def find(self, request: h11.Request, peer: Peer, /) -> Found: ...


class HttpProtocol(Protocol):
    """A connection that speaks HTTP/1.1 or HTTP/1.0."""

    def __init__(
        self, routes: Finder, address: str, descriptor: int, trace: Trace | None
    ) -> None:
        super().__init__(Recipient(address, descriptor, self._deliver))
        self._routes = routes
        self._server = routes.server
        self._trace = trace
        self._input = bytearray()
        self._pieces: Iterator[bytes] = iter(())
        self._found: Found = Answer(500)
        self._background = False
        self._timeout = 0.0
        self._until = 0.0
        self._begin()

    def _begin(self) -> None:
        """Wait for the next request."""
        self._stage = _Stage.HEAD
        self._exchange = Exchange(self._server.max_packet)
        self._scanned = 0
        self._handle = b""
        self._allow(self._server.request_timeout)

    def _allow(self, seconds: float) -> None:
        self.deadline = self._server.broker.now + seconds if seconds else inf

    # -- requests

    @property
    def kept(self) -> int:
        return len(self._input) + self._exchange.kept

    def receive(self, data: bytes) -> None:
        if self._stage is _Stage.END:
            return
        if self._stage is _Stage.BODY or not (self._input or self._is_busy()):
            self._allow(self._server.request_timeout)
        self._input += data
        self._go_on()

    def resume(self) -> None:
        self._go_on()

    def _go_on(self) -> None:
        """Handle the input, as far as possible now."""
        while self._step():
            pass
        self.ready = self._stage is _Stage.LISTING
        self.paused = self._is_busy() and len(self._input) > READ_AHEAD

    def _is_busy(self) -> bool:
        return self._stage in _BUSY

    def _step(self) -> bool:
        """Take a head or a body from the input; return False if there is none.

        Or make the next pieces of a long answer.
        """
        try:
            if self._stage is _Stage.HEAD:
                return self._take_head()
            if self._stage is _Stage.LISTING:
                return self._list_on()
            return self._stage is _Stage.BODY and self._take_body()
        except Refused as refused:
            self._refuse(refused.answer)
            return False

    def _take_head(self) -> bool:
        head = cut_head(self._input, self._scanned)
        if head is None:
            self._scanned = len(self._input)
            return False
        request = self._exchange.read_head(head)
        self._note(f"received {request.method.decode()} {request.target.decode()}")
        self._found = self._routes.find(request, self.peer)
        if self._exchange.has_body:
            if isinstance(self._found, Answer):
                # The body is not needed.
                self._refuse(self._found)
                return False
            if isinstance(self._found, Listing):
                raise Refused(400, "A request for this path has no body.")
            self._invite()
        self._stage = _Stage.BODY
        return True

    def _invite(self) -> None:
        """Send `100 Continue` if the peer waits for it."""
        invitation = self._exchange.go_on()
        if invitation and not self._input:
            self.peer.write(invitation)

    def _take_body(self) -> bool:
        if not self._exchange.has_body:
            self._exchange.read_body(b"")
        else:
            rest = self._exchange.read_body(bytes(self._input))
            self._input.clear()
            if rest is None:
                return False
            self._input += rest
        self._carry_out(self._found)
        return True

    def _carry_out(self, found: Found) -> None:
        if isinstance(found, Answer):
            self._answer(found)
        elif isinstance(found, Wait):
            self._await(found)
        elif isinstance(found, Listing):
            self._list(found)
        else:
            self._submit(found)

    def _submit(self, call: Call) -> None:
        self._stage = _Stage.JOB
        self._background = call.background
        self._timeout = call.timeout
        self._allow(call.timeout)
        self.peer.exceptions = True
        broker, body = self._server.broker, self._exchange.take_body()
        wanted = (self.peer, call.function, call.unique, body)
        if call.options is None:
            broker.submit(*wanted, call.priority, call.background)
        else:
            broker.submit_with(*wanted, call.options)

    def _await(self, wait: Wait) -> None:
        """Wait for the end of a job, as if this peer had submitted it."""
        broker = self._server.broker
        self._stage = _Stage.RESULT
        self._handle = wait.handle
        self._until = broker.now + wait.seconds
        job = broker.jobs.find(wait.handle)
        if job is not None:
            self.peer.exceptions = True
            broker.jobs.join(job, self.peer)
        self._look()

    def _look(self) -> None:
        """Answer if the job has ended, if the time is up, or if the server ends."""
        broker = self._server.broker
        over = self._server.draining or self._until <= broker.now
        answer = ended(broker, self._handle)
        if answer is None and over:
            answer = unfinished(broker, self._handle)
            broker.jobs.leave(self.peer)
            broker.answers.pay()
        if answer is not None:
            self._answer(answer)
        else:
            self.deadline = min(self._until, broker.now + LOOK)

    # -- answers

    def _list(self, listing: Listing) -> None:
        """Begin a long answer."""
        self._stage = _Stage.LISTING
        self.deadline = inf
        self._pieces = listing.pieces
        self._note("sent 200")
        self.peer.write(self._exchange.begin((*listing.headers, *self._common())))

    def _list_on(self) -> bool:
        """Make pieces of a long answer, until the time is used up.

        Returns whether that was the last one.
        """
        peer, late = self.peer, self._server.half_late
        while peer.size <= MOST_AT_ONCE:
            piece = next(self._pieces, None)
            if piece is None:
                peer.write(self._exchange.end(()))
                self._end_exchange()
                return True
            for part in self._exchange.parts(piece):
                peer.write(part)
            if late():
                break
        if not peer.outbox:
            # So that the connection calls `resume` at the end of the turn.
            peer.write(b"")
        return False

    def _answer(self, answer: Answer) -> None:
        """Answer the request that was read, and go on with the next one."""
        self._write_answer(answer)
        self._end_exchange()

    def _refuse(self, answer: Answer) -> None:
        """Answer a request before its end was read, and then close."""
        self._write_answer(replace(answer, close=True))
        self._input.clear()
        self._leave()

    def _write_answer(self, answer: Answer) -> None:
        if answer.close and answer.status in _COUNTED:
            self._server.broker.hits.counts[_COUNTED[answer.status]] += 1
        if self._server.draining:
            answer = replace(answer, close=True)
        self._note(f"sent {answer.status} ({len(answer.body)} bytes)")
        self.peer.write(self._exchange.answer(answer, self._common()))

    def _common(self) -> Headers:
        return server_headers(self._server.version, self._server.broker.wall)

    def _end_exchange(self) -> None:
        if self._exchange.goes_on:
            self._begin()
            self.ready = bool(self._input)
        else:
            self._leave()

    def _leave(self) -> None:
        """Close the connection when all was sent."""
        self._stage = _Stage.END
        self.deadline = inf
        self.finished = True
        # So that the connection looks at `finished`, even if nothing else was written.
        self.peer.write(b"")

    def _note(self, text: str) -> None:
        if self._trace is not None:
            self._trace(text)

    # -- messages of the broker

    def _deliver(self, command: int, arguments: tuple[bytes, ...]) -> None:
        delivery = self._DELIVERIES.get(command)
        if delivery is not None and self._is_busy():
            delivery(self, *arguments)

    def _refused(self, code: bytes, text: bytes) -> None:
        self._answer(answers.refused(code, text))

    def _created(self, handle: bytes) -> None:
        self._handle = handle
        if self._background:
            self._answer(answers.created(handle))

    def _data(self, handle: bytes, data: bytes) -> None:
        if self._stage is _Stage.RESULT:
            return
        if self._stage is _Stage.JOB:
            self._stage = _Stage.REST
            headers = (*job_headers(handle, b"WORK_DATA"), DATA, _TRAILER)
            self.peer.write(self._exchange.begin((*headers, *self._common())))
        self.peer.write(self._exchange.more(data))

    def _complete(self, handle: bytes, result: bytes) -> None:
        if self._stage is not _Stage.REST:
            self._answer(answers.completed(handle, result))
            return
        trailers = ((b"X-Gearman-Command", b"WORK_COMPLETE"),)
        self.peer.write(self._exchange.more(result) + self._exchange.end(trailers))
        self._end_exchange()

    def _failed(self, handle: bytes) -> None:
        self._end_badly(answers.failed(handle))

    def _raised(self, handle: bytes, exception: bytes) -> None:
        self._end_badly(answers.raised(handle, exception))

    def _end_badly(self, answer: Answer) -> None:
        if self._stage is not _Stage.REST:
            self._answer(answer)
        else:
            # In HTTP, an answer without its last chunk is known to be incomplete.
            self._leave()

    # -- time limits

    def expire(self) -> None:
        self.deadline = inf
        self._EXPIRIES[self._stage](self)

    def _idle(self) -> None:
        if self._input:
            self._slow()
        else:
            self._leave()

    def _slow(self) -> None:
        seconds = f"{self._server.request_timeout:g} seconds"
        text = f"The request did not come within {seconds}."
        self._write_answer(replace(answers.sentence(408, text), close=True))
        self._leave()

    def _too_late(self) -> None:
        answer = answers.too_late(self._handle, self._timeout)
        self._write_answer(replace(answer, close=True))
        self._leave()

    # Not for each connection: bound methods would keep it in a reference cycle.
    _DELIVERIES: ClassVar[Mapping[int, Callable[..., None]]] = {
        Command.JOB_CREATED: _created,
        Command.WORK_DATA: _data,
        Command.WORK_COMPLETE: _complete,
        Command.WORK_FAIL: _failed,
        Command.WORK_EXCEPTION: _raised,
        Command.ERROR: _refused,
    }
    _EXPIRIES: ClassVar[Mapping[_Stage, Callable[["HttpProtocol"], None]]] = {
        _Stage.HEAD: _idle,
        _Stage.BODY: _slow,
        _Stage.JOB: _too_late,
        _Stage.RESULT: _look,
        _Stage.REST: _leave,
    }
