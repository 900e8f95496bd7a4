"""Framing in plain Python: the reference that the compiled build must equal.

A stream is a sequence of packets and, with the option `lines`, of text lines. The
first byte tells which of the two comes next, since every packet begins with NUL.
Bytes of an incomplete packet are kept in one buffer, with the length from which on
they are worth parsing again. So a packet that arrives in many pieces costs time in
proportion to its length, not to the square of it.

A packet that breaks a rule appears in the list as INVALID, with a ProtocolError in
the place of its arguments. A packet that is too large is refused as soon as its head
is complete: the header, and the handle if it is about a job. The rest of that packet
is dropped as it arrives.
"""

from collections.abc import Iterable
from struct import Struct
from typing import Final, TypeAlias

from .commands import (
    BOTH,
    COMMAND_LIMIT,
    COMMANDS,
    HEADER_SIZE,
    MAX_HANDLE,
    MAX_LINE,
    MAX_PACKET,
    REQUEST,
    RESPONSE,
    RESPONSES,
    STANDARD_LIMIT,
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
_pack, _unpack = _HEADER.pack, _HEADER.unpack_from
_TEXT = int(Command.TEXT)
_MAGICS = {REQUEST: "Request", RESPONSE: "Response"}
# What a decoder of both adds to the numbers of packets.
_OFFSETS = {REQUEST: 0, RESPONSE: RESPONSES}
# The first byte of a TLS handshake. No packet and no line begins with it.
_TLS_HANDSHAKE = 0x16

# Argument counts by number. The table has no row 5: such a packet has no arguments,
# and is answered with "Command not expected" where it is dispatched.
_COUNTS = bytes(
    len(COMMANDS[n].arguments) if n in COMMANDS else 0 for n in range(COMMAND_LIMIT)
)

# By number as well: whether a worker sends this command about a job, with the handle
# as its first argument. The handle must end within the window (bytes, NUL included).
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
    """Return the packet of a command, with these arguments separated by NUL.

    `magic` is RESPONSE for packets of the server, REQUEST for those of clients and
    workers. Only the last argument may contain NUL; this is not checked. Raises
    ProtocolError if the body is larger than a header can declare (4 GiB - 1 byte).
    """
    arguments = tuple(arguments)
    length = len(arguments) - 1 if arguments else 0
    for argument in arguments:
        length += len(argument)
    if length > MAX_BODY:
        raise _large_body(length)
    return _pack(magic, command, length) + b"\0".join(arguments)


def encode_request(command: int, values: Iterable[object]) -> bytes | None:
    """Return the packet of a request with these arguments, which are text or bytes.

    Text is sent as UTF-8. Returns None if an argument is anything else, or text that
    UTF-8 cannot have, or if one contains NUL and is not the last. Raises ProtocolError
    as `encode` does.
    """
    packed: list[bytes] = []
    for value in values:
        if packed and 0 in packed[-1]:
            return None
        if type(value) is bytes:
            packed.append(value)
        elif type(value) is str:
            try:
                packed.append(value.encode())
            except UnicodeEncodeError:
                return None
        else:
            return None
    return encode(command, packed, REQUEST)


class Decoder:
    """Split a stream of bytes into packets and lines.

    `magic` is the magic of packets in this direction: REQUEST or RESPONSE. With BOTH,
    packets may have either; the numbers of responses are given with RESPONSES added to
    them. A packet that declares a body of more than `max_packet` bytes is refused
    before its body is kept. This is a fatal error; with `skip_large` it is a
    PacketTooLarge, and the body is dropped. With `lines`, data that does not begin with
    NUL is a text line of at most `max_line` bytes: the command TEXT, whose argument is
    the line without its end. Without `lines` such data is a fatal error. Raises
    ValueError for another magic.
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
        if magic not in _MAGICS and magic != BOTH:
            raise _no_magic(magic)
        self._magic = magic
        self._max_packet = max_packet
        self._max_line = max_line
        self._lines = lines
        self._skip_large = skip_large
        self._buffer = bytearray()
        self._needed = 0
        # Bytes of a refused packet that have not arrived.
        self._skipped = 0
        self._failed = False

    @property
    def buffered(self) -> int:
        """How many bytes of an incomplete packet or line are kept."""
        return len(self._buffer)

    @property
    def unfinished(self) -> bool:
        """Whether a part of a packet or line has arrived."""
        return bool(self._buffer or self._skipped)

    def widen(self, max_packet: int) -> None:
        """Accept packets with either magic, and of up to `max_packet` bytes.

        Call it between two packets: it counts from the next one on.
        """
        self._magic = BOTH
        self._max_packet = max_packet

    def feed(self, data: bytes) -> list[Packet]:
        """Add `data` to the stream; return the packets that it completes, in order.

        Each packet is a number with its arguments, or INVALID with a ProtocolError.
        A fatal error is the last packet: the decoder ignores all data after it.
        Raises TypeError unless `data` is bytes.
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
            # Without this: traceback, frame, list, error and traceback again would be a
            # reference cycle for each bad peer.
            packets.append((INVALID, error.with_traceback(None)))
        else:
            if position < len(data):
                self._buffer += data[position:]
        return packets

    def _skip(self, data: bytes) -> bytes:
        """Drop the bytes of a refused packet, and return the rest."""
        dropped = min(self._skipped, len(data))
        self._skipped -= dropped
        return data[dropped:]

    def _cut(self, data: bytes, packets: list[Packet]) -> int:
        """Append complete packets and lines, and return where the last one ends."""
        position, size, own, most = 0, len(data), self._magic, self._max_packet
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
            magic, number, length = _unpack(data, position)
            foreign = magic != own
            if foreign and magic not in _MAGICS:
                raise _foreign(magic)
            if number >= STANDARD_LIMIT or not number:
                _check_extension(number)
            end = start + length
            if length > most:
                end = self._refuse(data, position, packets)
                if not end:
                    break
            elif end > size:
                self._needed = end - position
                break
            elif foreign:
                packets.append(self._either(magic, number, data[start:end]))
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

    def _either(self, magic: bytes, number: int, body: bytes) -> Packet:
        """Return a packet whose magic is not that of the decoder."""
        if self._magic != BOTH:
            return INVALID, _other_magic(self._magic)
        offset, count = _OFFSETS[magic], _COUNTS[number]
        if not count:
            return number + offset, ()
        arguments = tuple(body.split(b"\0", count - 1))
        if len(arguments) == count:
            return number + offset, arguments
        return INVALID, _few_arguments(number, len(arguments))

    def _take_line(self, data: bytes, position: int, packets: list[Packet]) -> int:
        """Append the line that begins here; return its end, 0 if it is incomplete."""
        end = self._line_end(data, position)
        if end:
            line = data[position : end - 1].removesuffix(b"\r")
            packets.append((_TEXT, (line,)))
        else:
            self._needed = len(data) - position + 1
        return end

    def _refuse(self, data: bytes, position: int, packets: list[Packet]) -> int:
        """Refuse the large packet that begins here, once its head is complete.

        Returns the position after its bytes in `data`, 0 if the head is incomplete.
        """
        magic, number, length = _unpack(data, position)
        if not self._skip_large:
            raise _large_packet(length, self._max_packet)
        start, size = position + HEADER_SIZE, len(data)
        handle = None
        if _ABOUT_JOBS[number] and self._magic in (magic, BOTH):
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
        if self._magic not in (magic, BOTH):
            return _other_magic(self._magic)
        return PacketTooLarge(handle, length, self._max_packet)

    def _line_end(self, data: bytes, start: int) -> int:
        """Return the position after the line that starts here, 0 if it has no end."""
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


def _check_extension(number: int) -> None:
    """Refuse a number that is neither of the standard nor one of ours."""
    if number not in COMMANDS:
        raise _unknown_type(number)


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
