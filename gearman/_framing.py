"""Framing in plain Python: the reference that the compiled build must equal.

A stream is a sequence of packets and, if the decoder is told so, of text lines;
which of the two comes next shows in its first byte, since every packet begins
with NUL. Bytes that make up no whole packet yet are kept in one buffer, together
with the length at which it is worth looking at them again, so that a packet that
arrives in many pieces costs its length and not its square.

A packet that breaks a rule takes its place in the list as an INVALID one, with a
ProtocolError where the others have their arguments. One that is too large does so as
soon as it is known what it is about, and the rest of it is dropped as it comes.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final, TypeAlias

from .commands import (
    COMMAND_LIMIT,
    COMMANDS,
    HEADER_SIZE,
    MAX_HANDLE,
    MAX_LINE,
    MAX_PACKET,
    REQUEST,
    RESPONSE,
    Command,
    Sender,
)
from .errors import PacketTooLarge, ProtocolError
from .text import shown

Arguments: TypeAlias = tuple[bytes, ...]
Packet: TypeAlias = tuple[int, Arguments] | tuple[int, ProtocolError]

INVALID: Final = -1
MAX_BODY: Final = 0xFFFFFFFF

_HEADER = Struct(">4sII")
_TEXT = int(Command.TEXT)
_MAGICS = {REQUEST: "Request", RESPONSE: "Response"}
# What a TLS hello begins with, and nothing that is meant for a decoder.
_TLS_HANDSHAKE = 0x16

# Argument counts by number. No row names number 5: it has none, and whoever
# dispatches it answers that it was not expected.
_COUNTS = bytes(
    len(COMMANDS[n].arguments) if n in COMMANDS else 0 for n in range(COMMAND_LIMIT)
)

# By number as well: whether a worker sends it about a job, which it names first; and
# in how many bytes there must be an end of that name.
_ABOUT_JOBS = bytes(
    n in COMMANDS
    and Sender.WORKER in COMMANDS[n].senders
    and COMMANDS[n].arguments[:1] == ("handle",)
    for n in range(COMMAND_LIMIT)
)
_HANDLE_WINDOW = MAX_HANDLE + 1


def encode(
    command: int, arguments: Iterable[bytes] = (), magic: bytes = RESPONSE
) -> bytes:
    """Return the packet that carries `arguments`.

    No argument but the last may contain NUL. Raises ProtocolError if the body
    would be larger than a header can declare (4 GiB - 1), before it is put
    together.
    """
    arguments = tuple(arguments)
    length = len(arguments) - 1 if arguments else 0
    for argument in arguments:
        length += len(argument)
    if length > MAX_BODY:
        raise _large_body(length)
    return _HEADER.pack(magic, command, length) + b"\0".join(arguments)


class Decoder:
    """Cut a stream of bytes into packets and lines.

    `magic` is what packets of this direction begin with, REQUEST or RESPONSE. A
    packet that declares a body of more than `max_packet` bytes is refused before
    any of it is kept: it is a fatal error, or with `skip_large` a PacketTooLarge, and
    as many bytes as it declares are dropped. With `lines`, what does not begin with
    NUL is a text line of at most `max_line` bytes and comes as the command TEXT, its
    argument being the line without its end; without `lines` it is a fatal error.
    """

    __slots__ = (
        "_buffer",
        "_failed",
        "_lines",
        "_magic",
        "_max_line",
        "_max_packet",
        "_needed",
        "_skip_large",
        "_skipped",
    )

    def __init__(
        self,
        magic: bytes = REQUEST,
        *,
        max_packet: int = MAX_PACKET,
        max_line: int = MAX_LINE,
        lines: bool = False,
        skip_large: bool = False,
    ) -> None:
        if magic not in _MAGICS:
            raise _no_magic(magic)
        self._magic = magic
        self._max_packet = max_packet
        self._max_line = max_line
        self._lines = lines
        self._skip_large = skip_large
        self._buffer = bytearray()
        self._needed = 0
        # Bytes that are still to come of a packet that was refused.
        self._skipped = 0
        self._failed = False

    @property
    def buffered(self) -> int:
        """How many bytes of an unfinished packet or line are kept."""
        return len(self._buffer)

    @property
    def unfinished(self) -> bool:
        """Whether a packet or line has begun to come, and not ended."""
        return bool(self._buffer or self._skipped)

    def feed(self, data: bytes) -> list[Packet]:
        """Take `data` and return what it completes, in order.

        Nothing follows a fatal error: the decoder is dead and ignores what it is
        fed from then on. Raises TypeError for anything but bytes.
        """
        if not isinstance(data, bytes):
            raise _not_bytes(data)
        packets: list[Packet] = []
        if self._failed:
            return packets
        if self._skipped:
            data = self._skip(data)
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
            # The traceback would hold this frame, the frame the list, the list the
            # error: a cycle for each bad peer.
            packets.append((INVALID, error.with_traceback(None)))
        else:
            self._buffer += data[position:]
        return packets

    def _skip(self, data: bytes) -> bytes:
        """Drop what belongs to a refused packet, and return the rest."""
        dropped = min(self._skipped, len(data))
        self._skipped -= dropped
        return data[dropped:]

    def _cut(self, data: bytes, packets: list[Packet]) -> int:
        """Append what is whole to `packets` and return where it ends."""
        position, size, own = 0, len(data), self._magic
        while position < size:
            if data[position]:
                end = self._take_line(data, position, packets)
                if not end:
                    break
                position = end
                continue
            start = position + HEADER_SIZE
            if start > size:
                self._needed = HEADER_SIZE
                break
            magic, number, length = _HEADER.unpack_from(data, position)
            if magic != own and magic not in _MAGICS:
                raise _foreign(magic)
            if not 0 < number < COMMAND_LIMIT:
                raise _unknown_type(number)
            end = start + length
            if length > self._max_packet:
                end = self._refuse(data, position, packets)
                if not end:
                    break
            elif end > size:
                self._needed = end - position
                break
            elif magic != own:
                packets.append((INVALID, _other_magic(own)))
            elif not (count := _COUNTS[number]):
                packets.append((number, ()))
            else:
                arguments = tuple(data[start:end].split(b"\0", count - 1))
                if len(arguments) == count:
                    packets.append((number, arguments))
                else:
                    found = len(arguments)
                    packets.append((INVALID, _few_arguments(number, found)))
            position = end
        return position

    def _take_line(self, data: bytes, position: int, packets: list[Packet]) -> int:
        """Append the line that begins here; returns where it ends, 0 if it does not."""
        end = self._line_end(data, position)
        if end:
            line = data[position : end - 1].removesuffix(b"\r")
            packets.append((_TEXT, (line,)))
        else:
            self._needed = len(data) - position + 1
        return end

    def _refuse(self, data: bytes, position: int, packets: list[Packet]) -> int:
        """Refuse the large packet that begins here, as soon as its head has come.

        Returns the position behind as much of it as is here, 0 before that.
        """
        magic, number, length = _HEADER.unpack_from(data, position)
        if not self._skip_large:
            raise _large_packet(length, self._max_packet)
        start, size = position + HEADER_SIZE, len(data)
        handle = None
        if _ABOUT_JOBS[number] and magic == self._magic:
            window = min(length, _HANDLE_WINDOW)
            handle, nul, _ = data[start : start + window].partition(b"\0")
            if not nul and size - start < window:
                self._needed = size - position + 1
                return 0
        packets.append((INVALID, self._too_large(magic, handle, length)))
        end: int = start + length
        self._skipped = max(end - size, 0)
        return min(end, size)

    def _too_large(
        self, magic: bytes, handle: bytes | None, length: int
    ) -> ProtocolError:
        if magic != self._magic:
            return _other_magic(self._magic)
        return PacketTooLarge(handle, length, self._max_packet)

    def _line_end(self, data: bytes, start: int) -> int:
        """Return the position behind the line that starts here, 0 if it has no end."""
        if data[start] == _TLS_HANDSHAKE:
            raise _tls()
        if not self._lines:
            raise _foreign(data[start : start + 1])
        end = data.find(b"\n", start, start + self._max_line + 1) + 1
        if not end and len(data) - start > self._max_line:
            raise _long_line(self._max_line)
        return end


# The errors of both builds.


def _not_bytes(data: object) -> TypeError:
    return TypeError(f"a decoder is fed bytes, not {type(data).__name__}")


def _large_body(length: int) -> ProtocolError:
    return ProtocolError(f"a body of {length} bytes fits in no packet")


def _no_magic(magic: object) -> ValueError:
    return ValueError(f"a magic is {REQUEST!r} or {RESPONSE!r}, not {magic!r}")


def _tls() -> ProtocolError:
    return ProtocolError("a TLS handshake where there is no TLS", fatal=True)


def _foreign(start: bytes) -> ProtocolError:
    return ProtocolError(f"no packet begins with {shown(start)}", fatal=True)


def _long_line(limit: int) -> ProtocolError:
    return ProtocolError(f"a line of more than {limit} bytes", fatal=True)


def _unknown_type(number: int) -> ProtocolError:
    return ProtocolError(f"unknown packet type {number}", fatal=True)


def _large_packet(length: int, limit: int) -> ProtocolError:
    text = f"Packet of {length} bytes is over the limit of {limit}"
    return ProtocolError(text, code="ARGUMENT_TOO_LARGE", fatal=True)


def _other_magic(expected: bytes) -> ProtocolError:
    text = f"{_MAGICS[expected]} magic expected"
    return ProtocolError(text, code="INVALID_MAGIC")


def _few_arguments(number: int, count: int) -> ProtocolError:
    takes = f"{Command(number).name} takes {_COUNTS[number]} arguments"
    return ProtocolError(f"{takes}, got {count}", code="INVALID_COMMAND")
