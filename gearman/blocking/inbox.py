"""The receiving half of a connection: from bytes to commands."""

import logging
import ssl
import time
from collections import deque
from contextlib import suppress
from typing import Any, NoReturn

from ..commands import RESPONSE
from ..constants import _DEBUG_MODE_
from ..errors import ConnectionError
from ..framing import INVALID, MAX_BODY, Decoder
from ..payload import excerpt
from ..protocol import get_command_name, name_arguments

gearman_logger = logging.getLogger(__name__)

# Bytes to ask for at once: little for packets, much where a large one is under way.
_READ = 1 << 16
_READ_MORE = 1 << 20
# A server lists all functions of a worker in one line.
_MAX_LINE = 1 << 26


class Inbox:
    """What GearmanConnection receives; it has the socket."""

    connected: bool
    gearman_socket: Any
    gearman_host: str
    gearman_port: int
    last_activity: float

    # Bytes that one packet of the server may have; None: as many as there can be.
    max_packet: int | None = None

    def _reset_inbox(self) -> None:
        most = MAX_BODY if self.max_packet is None else self.max_packet
        self._decoder = Decoder(
            RESPONSE, max_packet=most, max_line=_MAX_LINE, lines=True
        )
        self._received: list[Any] = []
        self._unread_bytes = 0
        self._incoming_commands: deque[tuple[int, dict[str, Any]]] = deque()

    def read_data_from_socket(self, bytes_to_read: int = 4096) -> int:
        """Read what has arrived, up to `bytes_to_read` or what is usual if more.

        Returns how many bytes wait for `read_commands_from_buffer`. Raises
        ConnectionError if the connection is lost.
        """
        if not self.connected:
            self.throw_exception(message="disconnected")
        buffered = self._decoder.buffered
        size = max(bytes_to_read, _READ if buffered < _READ else _READ_MORE)
        try:
            data = self.gearman_socket.recv(size)
            # TLS may hold more than it gave, and no poll tells.
            while isinstance(self.gearman_socket, ssl.SSLSocket) and (
                pending := self.gearman_socket.pending()
            ):
                data += self.gearman_socket.recv(pending)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return self._unread_bytes
        except OSError as error:
            self.throw_exception(exception=error)
        if not data:
            self.throw_exception(message="remote disconnected")
        self.feed(data)
        return self._unread_bytes

    def read_to_end(self) -> None:
        """Read all that came on a connection before it ended."""
        before = -1
        with suppress(ConnectionError):
            while self._unread_bytes > before:
                before = self._unread_bytes
                self.read_data_from_socket(_READ_MORE)

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        self.last_activity = time.monotonic()
        self._received += self._decoder.feed(data)
        self._unread_bytes += len(data)

    @property
    def received_packets(self) -> int:
        """How many packets have arrived and are not commands yet."""
        return len(self._received)

    def take_leading(self, number: int) -> list[Any]:
        """Take the packets of one number that come first, and return them."""
        received = self._received
        count = 0
        for packet in received:
            if packet[0] != number:
                break
            count += 1
        if not count:
            return []
        self._received = received[count:]
        if not self._received:
            self._unread_bytes = self._decoder.buffered
        return received[:count]

    def read_commands_from_buffer(self) -> int:
        """Turn what has arrived into commands and return how many these are.

        Raises ProtocolError for what is no command; the connection is of no use
        then.
        """
        packets, self._received = self._received, []
        self._unread_bytes = self._decoder.buffered
        for number, arguments in packets:
            if number == INVALID:
                raise arguments
            command = name_arguments(number, arguments)
            if _DEBUG_MODE_:
                self._log("Recv", *command)
            self._incoming_commands.append(command)
        return len(packets)

    def read_command(self) -> tuple[int, dict[str, Any]] | None:
        """Return the next command, or None."""
        if not self._incoming_commands:
            return None
        return self._incoming_commands.popleft()

    def throw_exception(
        self, message: str | None = None, exception: BaseException | None = None
    ) -> NoReturn:
        """Count as disconnected and raise ConnectionError; `close` does the rest."""
        self.connected = False
        if exception is not None:
            message = repr(exception)
        text = f"<{self.gearman_host}:{self.gearman_port}> {message}"
        raise ConnectionError(text) from exception

    def _log(self, verb: str, cmd_type: int, cmd_args: dict[str, Any]) -> None:
        name = get_command_name(cmd_type)
        gearman_logger.debug(
            "%#x - %s - %s - %s", id(self), verb, name, excerpt(cmd_args)
        )
