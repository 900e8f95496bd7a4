"""A connection to a server: its socket, received data, and data to be sent."""

import logging
import random
import select
import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from typing import NoReturn

from .blocking.inbox import READ_MORE, Inbox
from .blocking.sockets import (
    File,
    Keepalive,
    configure,
    has_ended,
    open_socket,
    poll_for_the_end,
    tls_context,
)
from .client_core.server_order import rest_after
from .constants import _DEBUG_MODE_, DEFAULT_GEARMAN_PORT
from .errors import ConnectionError, ServerUnavailable
from .errors import ProtocolError as ProtocolError
from .payload import excerpt
from .protocol import (
    GEARMAN_COMMAND_TEXT_COMMAND,
    Received,
    Sendable,
    pack,
    pack_text_command,
)
from .protocol import GEARMAN_PARAMS_FOR_COMMAND as GEARMAN_PARAMS_FOR_COMMAND
from .protocol import NULL_CHAR as NULL_CHAR
from .protocol import get_command_name as get_command_name
from .protocol import pack_binary_command as pack_binary_command
from .protocol import parse_binary_command as parse_binary_command
from .protocol import parse_text_command as parse_text_command

gearman_logger = logging.getLogger(__name__)

# Packets of up to this many bytes in all are sent in one write.
_WRITE = 1 << 19
# For so many seconds after its last use a connection is not checked for its end.
_JUST_NOW = 0.001


class GearmanConnection:
    """A connection that can be opened again after it was closed.

    `host` is a name, an address or "unix:/path". With `keyfile`, `certfile` and
    `ca_certs` (paths), or with an `ssl_context`, the connection uses TLS. Raises
    ServerUnavailable if there is no `host`, as python-gearman 2.0.2 does.
    """

    # Seconds until the next attempt after a failed one. They double with each failure,
    # up to the maximum, and vary at random by half. Until then other servers are
    # preferred.
    connect_cooldown_seconds = 1.0
    max_cooldown_seconds = 60.0

    # Seconds that opening the connection may take, for each address of the host.
    connect_timeout: float | None = 10.0
    keepalive: Keepalive | None = Keepalive()
    ssl_context: ssl.SSLContext | None = None
    # Bytes that one packet of the server may have; None: 4 GiB, the protocol's limit.
    max_packet: int | None = None

    def __init__(
        self,
        host: str | None = None,
        port: int = DEFAULT_GEARMAN_PORT,
        keyfile: File | None = None,
        certfile: File | None = None,
        ca_certs: File | None = None,
    ) -> None:
        if host is None:
            raise ServerUnavailable("No host specified")
        self.gearman_host = host
        self.gearman_port = port or DEFAULT_GEARMAN_PORT
        self.keyfile = keyfile
        self.certfile = certfile
        self.ca_certs = ca_certs
        self.use_ssl = all([keyfile, certfile, ca_certs])

        # When the cooldown ends, in seconds of the monotonic clock.
        self.allowed_connect_time = 0.0
        self._failures = 0
        self._reset_connection()

    def _reset_connection(self) -> None:
        self.connected = False
        self.gearman_socket: socket.socket | None = None
        self._ending: select.poll | None = None
        # Whether the socket accepts no more data now; when data last went in or out.
        self.blocked = False
        self.last_activity = 0.0
        self.inbox = Inbox(self.max_packet)
        self._outgoing_packets: deque[bytes] = deque()
        self._outgoing_buffer: bytes | memoryview = b""
        self.unsent_bytes = 0

    # Questions about the connection.

    def fileno(self) -> int:
        if not self.gearman_socket:
            self.throw_exception(message="no socket set")
        return self.gearman_socket.fileno()

    def get_address(self) -> tuple[str, int]:
        return (self.gearman_host, self.gearman_port)

    def writable(self) -> bool:
        """Whether there is something to send."""
        return self.connected and self.unsent_bytes > 0

    def readable(self) -> bool:
        """Whether data may arrive."""
        return self.connected

    def has_ended(self) -> bool:
        """Whether the server has closed the connection, so that it receives no more.

        Data that the server sent before the end may still be read. For a millisecond
        after the connection was used, the system is not asked.
        """
        if time.monotonic() - self.last_activity < _JUST_NOW:
            return False
        opened = self.gearman_socket
        if opened is None:
            return False
        if self._ending is None:
            self._ending = poll_for_the_end(opened)
        return bool(self._ending.poll(0)) and has_ended(opened)

    # Opening and closing.

    def connect(self) -> None:
        """Open the connection; raises ConnectionError if that fails or it is open."""
        if self.connected:
            self.throw_exception(message="connection already established")
        self._reset_connection()
        try:
            self._create_client_socket()
        except ConnectionError:
            self.rest()
            raise
        self._failures = 0
        self.allowed_connect_time = 0.0
        self.connected = True
        self.last_activity = time.monotonic()

    def _create_client_socket(self) -> None:
        try:
            opened = open_socket(
                self.gearman_host,
                self.gearman_port,
                self.connect_timeout,
                self._tls(),
            )
        except (OSError, UnicodeError) as error:
            self.throw_exception(exception=error)
        self.set_socket(opened)

    def _tls(self) -> ssl.SSLContext | None:
        if self.use_ssl and self.ssl_context is None:
            assert self.certfile is not None
            self.ssl_context = tls_context(self.keyfile, self.certfile, self.ca_certs)
        return self.ssl_context

    def rest(self) -> None:
        """Set the time of the next attempt; the delay grows with each failure."""
        first, longest = self.connect_cooldown_seconds, self.max_cooldown_seconds
        delay = rest_after(self._failures, first, longest, random.uniform(0.5, 1.5))
        self._failures += 1
        self.allowed_connect_time = time.monotonic() + delay

    def set_socket(self, current_socket: socket.socket) -> None:
        """Use a connected socket; raises ConnectionError if there is one already."""
        if self.gearman_socket:
            self.throw_exception(message="socket already bound")
        configure(current_socket, self.keepalive)
        self.gearman_socket = current_socket

    def close(self) -> None:
        """Close the socket; drop received data and data that was not sent."""
        if self.gearman_socket:
            self.gearman_socket.close()
        self._reset_connection()

    def _open_socket(self) -> socket.socket:
        opened = self.gearman_socket
        if opened is None or not self.connected:
            self.throw_exception(message="disconnected")
        return opened

    def throw_exception(
        self, message: str | None = None, exception: BaseException | None = None
    ) -> NoReturn:
        """Mark as disconnected and raise ConnectionError; `close` closes the socket."""
        self.connected = False
        if exception is not None:
            message = repr(exception)
        text = f"<{self.gearman_host}:{self.gearman_port}> {message}"
        raise ConnectionError(text) from exception

    # Receiving.

    def read_data_from_socket(self, bytes_to_read: int = 4096) -> int:
        """Read arrived data: up to `bytes_to_read`, or the usual size if larger.

        Returns how many bytes wait for `read_commands_from_buffer`. Raises
        ConnectionError if the connection is lost.
        """
        self.receive(bytes_to_read)
        return self.inbox.unread_bytes()

    def receive(self, least: int = 0) -> bool:
        """Read up to the usual size, or `least` bytes; return whether there was data.

        Raises ConnectionError if the connection is lost.
        """
        opened = self._open_socket()
        size = self.inbox.next_read
        try:
            data = opened.recv(size if size > least else least)
            # TLS may hold more data than it returned; a poll does not show this.
            while isinstance(opened, ssl.SSLSocket) and (pending := opened.pending()):
                data += opened.recv(pending)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            self.throw_exception(exception=error)
        if not data:
            self.throw_exception(message="remote disconnected")
        self.last_activity = time.monotonic()
        self.inbox.feed(data)
        return True

    def read_to_end(self) -> None:
        """Read all data that arrived before the connection ended."""
        with suppress(ConnectionError):
            while self.receive(READ_MORE):
                pass

    def read_commands_from_buffer(self) -> int:
        """Decode received data into commands, and return how many there are.

        Raises ProtocolError for data that is no command. Then the connection must be
        closed: what follows cannot be read.
        """
        count = self.inbox.name_commands()
        if _DEBUG_MODE_:
            for command in list(self.inbox.commands)[-count:]:
                self._log("Recv", *command)
        return count

    def read_command(self) -> tuple[int, Received] | None:
        """Return the next command and its arguments by name, or None."""
        commands = self.inbox.commands
        return commands.popleft() if commands else None

    # Sending.

    def send_command(self, cmd_type: int, cmd_args: Sendable) -> None:
        """Queue a command; raises ProtocolError if it cannot be sent as a packet."""
        self.queue(self._pack_command(cmd_type, cmd_args))

    def queue(self, packet: bytes) -> None:
        """Queue a packet, or the rest of one."""
        self._outgoing_packets.append(packet)
        self.unsent_bytes += len(packet)

    def queue_all(self, packets: list[bytes], size: int) -> None:
        """Queue packets that have so many bytes in all."""
        self._outgoing_packets += packets
        self.unsent_bytes += size

    def send_at_once(self, packet: bytes) -> bool:
        """Send a packet, if nothing is queued; return whether all of it was sent.

        The rest is queued. Raises ConnectionError if the connection is lost.
        """
        sent = self._send(self._open_socket(), packet)
        if sent == len(packet):
            return True
        self.queue(packet[sent:])
        return False

    def _pack_command(self, cmd_type: int, cmd_args: Sendable) -> bytes:
        if _DEBUG_MODE_:
            self._log("Send", cmd_type, cmd_args)
        if cmd_type == GEARMAN_COMMAND_TEXT_COMMAND:
            return pack_text_command(cmd_type, cmd_args)
        return pack(cmd_type, cmd_args)

    def send_commands_to_buffer(self) -> None:
        """Join queued packets for the next write."""
        if self._outgoing_buffer or not self._outgoing_packets:
            return
        packets = self._outgoing_packets
        if self.unsent_bytes <= _WRITE and len(packets) > 1:
            self._outgoing_buffer = b"".join(packets)
            packets.clear()
            return
        taken = [packets.popleft()]
        size = len(taken[0])
        while packets and size + len(packets[0]) <= _WRITE:
            size += len(packets[0])
            taken.append(packets.popleft())
        self._outgoing_buffer = b"".join(taken) if len(taken) > 1 else taken[0]

    def send_data_to_socket(self) -> int:
        """Write as much as the socket accepts; return how many bytes are left.

        Raises ConnectionError if the connection is lost.
        """
        opened = self._open_socket()
        if not self._outgoing_buffer:
            return 0
        sent = self._send(opened, self._outgoing_buffer)
        if sent:
            self.last_activity = time.monotonic()
        self.unsent_bytes -= sent
        left = len(self._outgoing_buffer) - sent
        self.blocked = left > 0
        # A view, so that the rest of a large packet is not copied after each write.
        self._outgoing_buffer = (
            memoryview(self._outgoing_buffer)[sent:] if left else b""
        )
        return left

    def _send(self, opened: socket.socket, data: bytes | memoryview) -> int:
        """Send as much as the socket accepts; return how many bytes these are."""
        try:
            return opened.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            self.throw_exception(exception=error)

    def _log(self, verb: str, cmd_type: int, cmd_args: Sendable) -> None:
        name = get_command_name(cmd_type)
        gearman_logger.debug(
            "%#x - %s - %s - %s", id(self), verb, name, excerpt(cmd_args)
        )

    def __repr__(self) -> str:
        return (
            f"<GearmanConnection {self.gearman_host}:{self.gearman_port} "
            f"connected={self.connected}>"
        )
