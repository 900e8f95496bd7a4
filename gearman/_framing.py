"""Framing in plain Python: the reference that the compiled build must equal.

A stream is a sequence of packets and, if the decoder is told so, of text lines;
which of the two comes next shows in its first byte, since every packet begins
with NUL. Bytes that make up no whole packet yet are kept in one buffer, together
with the length at which it is worth looking at them again, so that a packet that
arrives in many pieces costs its length and not its square.

A packet that breaks a rule takes its place in the list as an INVALID one, with a
ProtocolError where the others have their arguments.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final, TypeAlias

from .commands import (
    COMMAND_LIMIT,
    COMMANDS,
    HEADER_SIZE,
    MAX_LINE,
    MAX_PACKET,
    REQUEST,
    RESPONSE,
    Command,
)
from .errors import ProtocolError

Arguments: TypeAlias = tuple[bytes, ...]
Packet: TypeAlias = tuple[int, Arguments] | tuple[int, ProtocolError]

INVALID: Final = -1
MAX_BODY: Final = 0xFFFFFFFF

_HEADER = Struct(">4sII")
_TEXT = int(Command.TEXT)
_MAGICS = {REQUEST: "Request", RESPONSE: "Response"}
_TLS_HANDSHAKE = b"\x16\x03"

# Argument counts by number. No row names number 5: it has none, and whoever
# dispatches it answers that it was not expected.
_COUNTS = [
    len(COMMANDS[n].arguments) if n in COMMANDS else 0 for n in range(COMMAND_LIMIT)
]


def encode(
    command: int, arguments: Iterable[bytes] = (), magic: bytes = RESPONSE
) -> bytes:
    """Return the packet that carries `arguments`.

    No argument but the last may contain NUL. Raises ProtocolError if the body
    would be larger than a header can declare (4 GiB - 1).
    """
    body = b"\0".join(arguments)
    if len(body) > MAX_BODY:
        raise ProtocolError(f"a body of {len(body)} bytes fits in no packet")
    return _HEADER.pack(magic, command, len(body)) + body


class Decoder:
    """Cut a stream of bytes into packets and lines.

    `magic` is what packets of this direction begin with. A packet that declares
    a body of more than `max_packet` bytes is refused before any of it is kept.
    With `lines`, what does not begin with NUL is a text line of at most `max_line`
    bytes and comes as the command TEXT, its argument being the line without its
    end; without `lines` it is a fatal error.
    """

    def __init__(
        self,
        magic: bytes = REQUEST,
        *,
        max_packet: int = MAX_PACKET,
        max_line: int = MAX_LINE,
        lines: bool = False,
    ) -> None:
        self._magic = magic
        self._max_packet = max_packet
        self._max_line = max_line
        self._lines = lines
        self._buffer = bytearray()
        self._needed = 0
        self._failed = False

    @property
    def buffered(self) -> int:
        """How many bytes of an unfinished packet or line are kept."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Packet]:
        """Take `data` and return what it completes, in order.

        Nothing follows a fatal error: the decoder is dead and ignores what it is
        fed from then on.
        """
        packets: list[Packet] = []
        if self._failed:
            return packets
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return packets
            data = bytes(self._buffer)
            self._buffer.clear()
        try:
            position = self._cut(data, packets)
        except ProtocolError as error:
            self._failed = True
            packets.append((INVALID, error))
        else:
            self._buffer += data[position:]
        return packets

    def _cut(self, data: bytes, packets: list[Packet]) -> int:
        """Append what is whole to `packets` and return where it ends."""
        position, size = 0, len(data)
        while position < size:
            if data[position]:
                end = self._line_end(data, position)
                if not end:
                    self._needed = size - position + 1
                    break
                line = data[position : end - 1].removesuffix(b"\r")
                packets.append((_TEXT, (line,)))
            else:
                start = position + HEADER_SIZE
                if start > size:
                    self._needed = HEADER_SIZE
                    break
                magic, number, length = _HEADER.unpack_from(data, position)
                self._check(magic, number, length)
                end = start + length
                if end > size:
                    self._needed = end - position
                    break
                packets.append(self._packet(magic, number, data[start:end]))
            position = end
        return position

    def _line_end(self, data: bytes, start: int) -> int:
        """Return the position behind the line that starts here, 0 if it has no end."""
        if data.startswith(_TLS_HANDSHAKE, start):
            raise ProtocolError("a TLS handshake where there is no TLS", fatal=True)
        if not self._lines:
            raise _not_ours(data[start : start + 1])
        end = data.find(b"\n", start, start + self._max_line + 1) + 1
        if not end and len(data) - start > self._max_line:
            raise ProtocolError(
                f"a line of more than {self._max_line} bytes", fatal=True
            )
        return end

    def _check(self, magic: bytes, number: int, length: int) -> None:
        if magic not in _MAGICS:
            raise _not_ours(magic)
        if not 0 < number < COMMAND_LIMIT:
            raise ProtocolError(f"unknown packet type {number}", fatal=True)
        if length > self._max_packet:
            raise ProtocolError(
                f"Packet of {length} bytes is over the limit of {self._max_packet}",
                code="ARGUMENT_TOO_LARGE",
                fatal=True,
            )

    def _packet(self, magic: bytes, number: int, body: bytes) -> Packet:
        if magic != self._magic:
            text = f"{_MAGICS[self._magic]} magic expected"
            return INVALID, ProtocolError(text, code="INVALID_MAGIC")
        count = _COUNTS[number]
        if not count:
            return number, ()
        arguments = tuple(body.split(b"\0", count - 1))
        if len(arguments) == count:
            return number, arguments
        text = f"{Command(number).name} takes {count} arguments, got {len(arguments)}"
        return INVALID, ProtocolError(text, code="INVALID_COMMAND")


def _not_ours(start: bytes) -> ProtocolError:
    return ProtocolError(f"no packet begins with {start!r}", fatal=True)
