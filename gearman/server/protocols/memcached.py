"""The protocol memcached: background jobs by the text commands of memcached.

`set FUNCTION` submits a job, whose workload is the value. The answer STORED means that
the job is durable. Then `get FUNCTION` returns its handle, on the same connection;
`get HANDLE` returns its status, and `delete HANDLE` cancels it. docs/memcached.md has
the details.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final, NamedTuple

from ...commands import Command
from ...errors import ProtocolError
from ...text import printable
from ..broker import NORMAL, Job
from .interface import Protocol, Recipient, Server, Service, Trace

# Bytes of a line, and of input that is read while an answer is pending.
MAX_LINE: Final = 16 * 1024
READ_AHEAD: Final = 64 * 1024

# Jobs of a connection that may be unacknowledged, and functions whose last handle it
# remembers; the oldest are forgotten.
MAX_UNACKNOWLEDGED: Final = 1000
MAX_REMEMBERED: Final = 1000

# Commands with a value, and the position of the value's size among their words. Only
# `set` is carried out, but the values of the others must be skipped.
_SIZES: Final = {
    **dict.fromkeys((b"set", b"add", b"replace", b"append", b"prepend", b"cas"), 4),
    b"ms": 2,
}

_BINARY: Final = 0x80
_HTTP: Final = re.compile(rb"HTTP/\d(\.\d)?")


class Memcached(Service):
    """The protocol memcached; its connections share nothing but the server."""

    port: ClassVar[int] = 11211

    def connect(self, address: str, descriptor: int, trace: Trace | None) -> Protocol:
        return MemcachedProtocol(self.server, address, descriptor, trace)


class _Value(NamedTuple):
    """A command whose value has not arrived completely."""

    command: bytes
    key: bytes
    size: int
    silent: bool


class MemcachedProtocol(Protocol):
    """A connection that speaks memcached's text protocol.

    Many jobs may be submitted before the first is acknowledged. Any other command waits
    until all jobs are.
    """

    def __init__(
        self, server: Server, address: str, descriptor: int, trace: Trace | None
    ) -> None:
        super().__init__(Recipient(address, descriptor, self._deliver))
        self._server = server
        self._trace = trace
        self._input = bytearray()
        self._scanned = 0
        self._value: _Value | None = None
        # Bytes of a refused value that are still to be skipped.
        self._skip = 0
        self._unacknowledged: deque[_Value] = deque()
        self._handles: OrderedDict[bytes, bytes] = OrderedDict()

    # -- input

    @property
    def buffered(self) -> int:
        return 0 if self._unacknowledged else len(self._input) + self._skip

    @property
    def kept(self) -> int:
        return len(self._input) + bool(self._skip)

    def receive(self, data: bytes) -> None:
        self._input += data
        self._go_on()

    def resume(self) -> None:
        self._go_on()

    def _go_on(self) -> None:
        while not self.finished and self.error is None and self._step():
            pass
        self.ready = False
        waiting = bool(self._unacknowledged)
        self.paused = waiting and len(self._input) > READ_AHEAD

    def _step(self) -> bool:
        """Take a line or a value from the input; return False if there is none."""
        if self._skip:
            skipped = min(self._skip, len(self._input))
            del self._input[:skipped]
            self._skip -= skipped
            return skipped > 0
        if self._value is not None:
            return self._take_value(self._value)
        return self._take_line()

    def _take_line(self) -> bool:
        if self._input.startswith(bytes([_BINARY])):
            self.error = ProtocolError("memcached's binary protocol is not spoken here")
            return False
        end = self._input.find(b"\n", self._scanned)
        self._scanned = 0 if end >= 0 else len(self._input)
        if (end if end >= 0 else len(self._input)) > MAX_LINE:
            self._end(b"CLIENT_ERROR line too long")
            return False
        words = self._input[: max(end, 0)].split()
        if end < 0 or self._must_wait(words):
            return False
        del self._input[: end + 1]
        self._run([bytes(word) for word in words])
        return True

    def _must_wait(self, words: list[bytearray]) -> bool:
        """Whether this line must wait for answers to earlier jobs."""
        if words and bytes(words[0]) == b"set":
            return len(self._unacknowledged) >= MAX_UNACKNOWLEDGED
        return bool(self._unacknowledged)

    def _run(self, words: list[bytes]) -> None:
        command = words[0] if words else b""
        if words and _HTTP.fullmatch(words[-1]):
            # A web page may have made a browser send it, with commands in its body.
            self._end(b"CLIENT_ERROR an HTTP request on the port of memcached")
            return
        self._note(b"received " + printable(b" ".join(words[:2])))
        if command in _SIZES:
            self._begin_value(words)
        elif command in self._COMMANDS:
            self._COMMANDS[command](self, words[1:])
        else:
            self._answer(b"ERROR")

    def _begin_value(self, words: list[bytes]) -> None:
        position = _SIZES[words[0]]
        if len(words) <= position:
            self._answer(b"ERROR")
        elif not (words[position].isdigit() and len(words[position]) < 20):
            # Where the value ends is unknown.
            self._end(b"CLIENT_ERROR bad command line format")
        else:
            silent = words[-1] == b"noreply"
            value = _Value(words[0], words[1], int(words[position]), silent)
            if value.size > self._server.max_packet:
                self._reply(value, b"SERVER_ERROR object too large for cache")
                self._skip = value.size + len(b"\r\n")
            else:
                self._value = value

    def _take_value(self, value: _Value) -> bool:
        end = value.size + len(b"\r\n")
        if len(self._input) < end:
            return False
        data, mark = bytes(self._input[: value.size]), self._input[value.size : end]
        del self._input[:end]
        self._value = None
        if mark == b"\r\n":
            self._store(value, data)
        else:
            self._end(b"CLIENT_ERROR bad data chunk")
        return True

    def _store(self, value: _Value, data: bytes) -> None:
        if value.command != b"set":
            self._reply(value, b"CLIENT_ERROR only set submits a job")
        elif b"\0" in value.key:
            self._reply(value, b"CLIENT_ERROR a function has no NUL in its name")
        elif self._server.draining:
            self._reply(value, b"SERVER_ERROR the server is shutting down")
        else:
            self._unacknowledged.append(value)
            broker = self._server.broker
            broker.submit(self.peer, value.key, b"", data, NORMAL, True)

    # -- messages of the broker

    def _deliver(self, command: int, arguments: tuple[bytes, ...]) -> None:
        """Answer the oldest unanswered job: the broker answers in order."""
        value = self._unacknowledged.popleft()
        if command == Command.JOB_CREATED:
            self._remember(value.key, arguments[0])
            self._reply(value, b"STORED")
        else:
            code, text = arguments
            kind = b"SERVER_ERROR " if code == b"QUEUE_ERROR" else b"CLIENT_ERROR "
            self._reply(value, kind + printable(text))
        self.ready = bool(self._input)
        # So that the connection looks at `ready`, even if nothing else was written.
        self.peer.write(b"")

    def _remember(self, function: bytes, handle: bytes) -> None:
        self._handles[function] = handle
        self._handles.move_to_end(function)
        if len(self._handles) > MAX_REMEMBERED:
            self._handles.popitem(last=False)

    # -- commands without a value

    def _get(self, keys: list[bytes]) -> None:
        self._show(keys, b"")

    def _gets(self, keys: list[bytes]) -> None:
        # Every value has the unique number 0, since `cas` is not supported.
        self._show(keys, b" 0")

    def _show(self, keys: list[bytes], unique: bytes) -> None:
        if not keys:
            self._answer(b"ERROR")
            return
        for key in keys:
            value = self._look_up(key)
            if value is not None:
                head = b"VALUE %b 0 %d%b" % (key, len(value), unique)
                self.peer.write(b"%b\r\n%b\r\n" % (head, value))
        self._answer(b"END")

    def _look_up(self, key: bytes) -> bytes | None:
        job = self._server.broker.jobs.find(key)
        return self._handles.get(key) if job is None else _status(job)

    def _delete(self, words: list[bytes]) -> None:
        silent = words[-1:] == [b"noreply"]
        if not words:
            answer = b"ERROR"
        elif not self._server.may_change(self.peer):
            answer = b"CLIENT_ERROR only hosts named with --admin-from may cancel"
        else:
            cancelled = self._server.broker.cancel(words[0])
            answer = b"DELETED" if cancelled else b"NOT_FOUND"
        if not silent:
            self._answer(answer)

    def _stats(self, words: list[bytes]) -> None:
        if not words:
            for name, number in self._numbers():
                self._answer(b"STAT %b %b" % (name, number))
        self._answer(b"END")

    def _numbers(self) -> Iterator[tuple[bytes, bytes]]:
        broker = self._server.broker
        yield b"version", self._server.version.encode()
        yield b"time", b"%d" % broker.wall
        yield b"curr_connections", b"%d" % len(broker.peers)
        yield b"functions", b"%d" % len(broker.functions.known)
        yield b"jobs", b"%d" % len(broker.jobs.known)

    def _version(self, words: list[bytes]) -> None:
        self._answer(b"VERSION " + self._server.version.encode())

    def _verbosity(self, words: list[bytes]) -> None:
        if words[-1:] != [b"noreply"]:
            self._answer(b"OK")

    def _quit(self, words: list[bytes]) -> None:
        self.finished = True

    # -- output

    def _end(self, line: bytes) -> None:
        """Send a last answer, and close the connection."""
        self._answer(line)
        self.finished = True

    def _reply(self, value: _Value, line: bytes) -> None:
        if not value.silent:
            self._answer(line)

    def _answer(self, line: bytes) -> None:
        self._note(b"sent " + line)
        self.peer.write(line + b"\r\n")

    def _note(self, text: bytes) -> None:
        if self._trace is not None:
            self._trace(text.decode(errors="replace"))

    # Not for each connection: bound methods would keep it in a reference cycle.
    _COMMANDS: ClassVar[
        Mapping[bytes, Callable[["MemcachedProtocol", list[bytes]], None]]
    ] = {
        b"get": _get,
        b"gets": _gets,
        b"delete": _delete,
        b"stats": _stats,
        b"version": _version,
        b"verbosity": _verbosity,
        b"quit": _quit,
    }


def _status(job: Job) -> bytes:
    """Return known, running, numerator and denominator, as STATUS_RES has them."""
    running = job.worker is not None
    return b"1 %d %d %d" % (running, *job.progress)
