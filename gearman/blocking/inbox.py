"""The data that a connection has received: from bytes to commands."""

from collections import deque

from ..commands import RESPONSE
from ..errors import ProtocolError
from ..framing import MAX_BODY, Decoder, Packet
from ..protocol import Received, name_arguments

# Bytes to read at once: few for small packets, many while a large packet arrives.
_READ = 1 << 16
READ_MORE = 1 << 20
# A server lists all functions of a worker in one line.
_MAX_LINE = 1 << 26


class Inbox:
    """Bytes that have arrived, and the packets and commands in them.

    `max_packet` is how many bytes a packet may have (None: 4 GiB). `name_commands`
    turns `packets` into `commands`; `direct` takes the packets before that.
    """

    __slots__ = ("_decoder", "_unread", "commands", "next_read", "packets")

    def __init__(self, max_packet: int | None) -> None:
        most = MAX_BODY if max_packet is None else max_packet
        self._decoder = Decoder(
            RESPONSE, max_packet=most, max_line=_MAX_LINE, lines=True
        )
        self.packets: deque[Packet] = deque()
        self.commands: deque[tuple[int, Received]] = deque()
        # Bytes of the packets, if there are some, and of those that were taken since.
        self._unread = 0
        # How many bytes to read next.
        self.next_read = _READ

    def unread_bytes(self) -> int:
        """Return about how many bytes are not turned into commands yet."""
        return self._unread if self.packets else self._decoder.buffered

    def feed(self, data: bytes) -> None:
        """Decode the data that was read."""
        decoder = self._decoder
        if not self.packets:
            self._unread = decoder.buffered
        self._unread += len(data)
        self.packets += decoder.feed(data)
        self.next_read = _READ if decoder.buffered < _READ else READ_MORE

    def name_commands(self) -> int:
        """Turn packets into commands, and return how many there are.

        Raises ProtocolError for a packet that is no command; what follows cannot be
        read.
        """
        count = 0
        while self.packets:
            self.commands.append(command_of(self.packets.popleft()))
            count += 1
        return count


def command_of(packet: Packet) -> tuple[int, Received]:
    """Return the command of a packet, and its arguments by name.

    Raises ProtocolError for a packet that is no command; what follows cannot be read.
    """
    number, arguments = packet
    if isinstance(arguments, ProtocolError):
        raise arguments
    return name_arguments(number, arguments)
