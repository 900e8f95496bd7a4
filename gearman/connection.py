"""A connection to a server: its socket, what was received, what is to be sent."""

import logging
import random
import select
import ssl
import time
from collections import deque
from typing import Any

from .blocking.inbox import Inbox
from .blocking.sockets import (
    Keepalive,
    configure,
    has_ended,
    open_socket,
    poll_for_the_end,
    tls_context,
)
from .constants import _DEBUG_MODE_, DEFAULT_GEARMAN_PORT
from .errors import ConnectionError, ServerUnavailable
from .errors import ProtocolError as ProtocolError
from .protocol import (
    GEARMAN_COMMAND_TEXT_COMMAND,
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

# Packets of up to this many bytes altogether leave in one write.
_WRITE = 1 << 18
# Seconds after use in which a connection counts as open without a look at it.
_JUST_NOW = 0.001


class GearmanConnection(Inbox):
    """A connection that can be opened again after it was closed.

    `host` is a name, an address or "unix:/path". With `keyfile`, `certfile` and
    `ca_certs`, or an `ssl_context`, it uses TLS. Raises ServerUnavailable without a
    host.
    """

    # Seconds until the next attempt after a failed one: they double with each, up to
    # the maximum, and vary by half. Until then other servers are preferred.
    connect_cooldown_seconds = 1.0
    max_cooldown_seconds = 60.0

    # Seconds that opening may take, for each address of the host.
    connect_timeout: float | None = 10.0
    keepalive: Keepalive | None = Keepalive()
    ssl_context: ssl.SSLContext | None = None

    def __init__(
        self,
        host: str | None = None,
        port: int = DEFAULT_GEARMAN_PORT,
        keyfile: Any = None,
        certfile: Any = None,
        ca_certs: Any = None,
    ) -> None:
        if host is None:
            raise ServerUnavailable("No host specified")
        self.gearman_host = host
        self.gearman_port = port or DEFAULT_GEARMAN_PORT
        self.keyfile = keyfile
        self.certfile = certfile
        self.ca_certs = ca_certs
        self.use_ssl = all([keyfile, certfile, ca_certs])

        # When the cooldown ends, by the monotonic clock.
        self.allowed_connect_time = 0.0
        self._failures = 0
        self._reset_connection()

    def _reset_connection(self) -> None:
        self.connected = False
        self.gearman_socket: Any = None
        self._ending: select.poll | None = None
        # Whether the socket takes no more for now, and when it last took or gave.
        self.blocked = False
        self.last_activity = 0.0
        self._reset_inbox()
        self._outgoing_packets: deque[bytes] = deque()
        self._outgoing_buffer: bytes | memoryview = b""
        self.unsent_bytes = 0

    # What others ask.

    def fileno(self) -> int:
        if not self.gearman_socket:
            self.throw_exception(message="no socket set")
        number: int = self.gearman_socket.fileno()
        return number

    def get_address(self) -> tuple[str, int]:
        return (self.gearman_host, self.gearman_port)

    def writable(self) -> bool:
        """Whether there is something to send."""
        return self.connected and self.unsent_bytes > 0

    def readable(self) -> bool:
        """Whether something may come."""
        return self.connected

    def has_ended(self) -> bool:
        """Whether the server has closed the connection, so that nothing arrives there.

        What was sent before the end may still be read. The system is not asked again
        within a millisecond after the connection was used.
        """
        if time.monotonic() - self.last_activity < _JUST_NOW:
            return False
        if self._ending is None:
            if not self.gearman_socket:
                return False
            self._ending = poll_for_the_end(self.gearman_socket)
        return bool(self._ending.poll(0)) and has_ended(self.gearman_socket)

    # Opening and closing.

    def connect(self) -> None:
        """Open the connection; raises ConnectionError if that fails."""
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
            self.ssl_context = tls_context(self.keyfile, self.certfile, self.ca_certs)
        return self.ssl_context

    def rest(self) -> None:
        """Let some time pass before the next attempt, more with each failure."""
        longest = self.connect_cooldown_seconds * 2.0 ** min(self._failures, 30)
        delay = min(longest, self.max_cooldown_seconds) * random.uniform(0.5, 1.5)
        self._failures += 1
        self.allowed_connect_time = time.monotonic() + delay

    def set_socket(self, current_socket: Any) -> None:
        """Use a connected socket."""
        if self.gearman_socket:
            self.throw_exception(message="socket already bound")
        configure(current_socket, self.keepalive)
        self.gearman_socket = current_socket

    def close(self) -> None:
        """Close the socket and forget what was received and not sent."""
        if self.gearman_socket:
            self.gearman_socket.close()
        self._reset_connection()

    # Sending.

    def send_command(self, cmd_type: int, cmd_args: dict[str, Any]) -> None:
        """Queue a command; raises ProtocolError if it can be no packet."""
        self.queue(self._pack_command(cmd_type, cmd_args))

    def queue(self, packet: bytes) -> None:
        """Queue a packet, or the rest of one."""
        self._outgoing_packets.append(packet)
        self.unsent_bytes += len(packet)

    def _pack_command(self, cmd_type: int, cmd_args: dict[str, Any]) -> bytes:
        if _DEBUG_MODE_:
            self._log("Send", cmd_type, cmd_args)
        if cmd_type == GEARMAN_COMMAND_TEXT_COMMAND:
            return pack_text_command(cmd_type, cmd_args)
        return pack(cmd_type, cmd_args)

    def send_commands_to_buffer(self) -> None:
        """Put packets together for the next write."""
        if self._outgoing_buffer or not self._outgoing_packets:
            return
        packets = self._outgoing_packets
        taken = [packets.popleft()]
        size = len(taken[0])
        while packets and size + len(packets[0]) <= _WRITE:
            size += len(packets[0])
            taken.append(packets.popleft())
        self._outgoing_buffer = b"".join(taken) if len(taken) > 1 else taken[0]

    def send_data_to_socket(self) -> int:
        """Write what the socket takes and return how many bytes are left of it.

        Raises ConnectionError if the connection is lost.
        """
        if not self.connected:
            self.throw_exception(message="disconnected")
        if not self._outgoing_buffer:
            return 0
        try:
            sent = self.gearman_socket.send(self._outgoing_buffer)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = 0
        except OSError as error:
            self.throw_exception(exception=error)
        if sent:
            self.last_activity = time.monotonic()
        self.unsent_bytes -= sent
        left: int = len(self._outgoing_buffer) - sent
        self.blocked = left > 0
        # A view, so that what is left of a large packet is not copied each time.
        self._outgoing_buffer = (
            memoryview(self._outgoing_buffer)[sent:] if left else b""
        )
        return left

    def __repr__(self) -> str:
        return (
            f"<GearmanConnection {self.gearman_host}:{self.gearman_port} "
            f"connected={self.connected}>"
        )
