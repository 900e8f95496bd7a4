"""Readers of answers: each fails for data that is no answer of its protocol."""

import re
from collections.abc import Callable

from gearman.commands import COMMANDS, RESPONSE, Command, Sender
from gearman.errors import ProtocolError
from gearman.framing import MAX_BODY, Decoder

SENT = {n for n, row in COMMANDS.items() if Sender.SERVER in row.senders}
ASSIGNMENTS = {Command.JOB_ASSIGN, Command.JOB_ASSIGN_UNIQ, Command.JOB_ASSIGN_ALL}
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z ]+\r\n")
LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\nTransfer-Encoding: chunked\r\n", re.IGNORECASE)
CHUNK = re.compile(rb"([0-9a-fA-F]+)\r\n")
MEMCACHED = re.compile(
    rb"(STORED|ERROR|END|OK|DELETED|NOT_FOUND|(CLIENT|SERVER)_ERROR [^\r\n]+"
    rb"|VERSION [^\r\n]+|STAT [^\r\n]+)\r\n"
)
VALUE = re.compile(rb"VALUE [^\r\n]* 0 (\d+)( \d+)?\r\n")


class GearAnswers:
    """Reads packets and lines; it keeps the handles last assigned and created."""

    def __init__(self) -> None:
        self._decoder = Decoder(
            RESPONSE, lines=True, max_packet=MAX_BODY, max_line=MAX_BODY
        )
        self.assigned = b""
        self.created = b""

    def read(self, data: bytes) -> None:
        for number, arguments in self._decoder.feed(data):
            assert not isinstance(arguments, ProtocolError), arguments
            assert not number or number in SENT, number
            if number == Command.JOB_CREATED:
                self.created = arguments[0]
            elif number in ASSIGNMENTS:
                self.assigned = arguments[0]
        assert not self._decoder.buffered, "an answer without its end"

    def end(self) -> None:
        """Nothing can be missing."""


class HttpAnswers:
    """Reads HTTP; it needs the `methods`, since answers to HEAD have no body."""

    assigned = created = b""

    def __init__(self) -> None:
        self.methods: list[bytes] = []
        self._pending = b""

    def note(self, text: str) -> None:
        """Read a line of the trace."""
        what, _, rest = text.partition(" ")
        if what == "received":
            self.methods.append(rest.partition(" ")[0].encode())

    def read(self, data: bytes) -> None:
        self._pending += data
        while self._pending and (end := self._end(self._pending)):
            self._pending = self._pending[end:]

    def end(self) -> None:
        if self._pending:
            head, _, body = self._pending.partition(b"\r\n\r\n")
            # For some refused requests, the trace does not say that they were HEAD.
            refused = head.startswith(b"HTTP/1.1 4") or head.startswith(b"HTTP/1.1 5")
            if body or not refused:
                assert not LENGTH.search(head + b"\r\n"), "an answer without its end"

    def _end(self, data: bytes) -> int:
        """Return where the first answer ends, 0 if it is incomplete."""
        status = STATUS_LINE.match(data)
        assert status, data[:80]
        start = data.find(b"\r\n\r\n") + 4
        assert start > 3, "a head without its end"
        if status[1][:1] == b"1":
            return start
        method = self.methods[0] if self.methods else b""
        end = start
        if method != b"HEAD" and status[1] != b"204":
            end = self._body_end(data[:start], data, start)
        if end:
            del self.methods[:1]
        return end

    def _body_end(self, head: bytes, data: bytes, start: int) -> int:
        if length := LENGTH.search(head):
            return start + int(length[1]) if len(data) - start >= int(length[1]) else 0
        return self._chunks_end(data, start) if CHUNKED.search(head) else 0

    def _chunks_end(self, data: bytes, at: int) -> int:
        while at < len(data):
            chunk = CHUNK.match(data, at)
            assert chunk, data[at : at + 20]
            if int(chunk[1], 16) == 0:
                return data.find(b"\r\n\r\n", at) + 4
            at = chunk.end() + int(chunk[1], 16)
            assert data[at : at + 2] == b"\r\n"
            at += 2
        return 0


class MemcachedAnswers:
    assigned = created = b""

    def read(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if value := VALUE.match(data, at):
                at = value.end() + int(value[1])
                assert data[at : at + 2] == b"\r\n"
                at += 2
            else:
                line = MEMCACHED.match(data, at)
                assert line, data[at : at + 80]
                at = line.end()

    def end(self) -> None:
        """Nothing can be missing."""


Answers = GearAnswers | HttpAnswers | MemcachedAnswers
READERS: dict[str, Callable[[], Answers]] = {
    "gear": GearAnswers,
    "http": HttpAnswers,
    "memcached": MemcachedAnswers,
}
