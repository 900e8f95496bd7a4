"""The base of client, worker and admin client: connections, polling, dispatch."""

import logging
import os
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Self, Unpack

from . import compat as compat
from . import util
from .blocking.connections import Activity, any_connected, poll_once, silent_since
from .blocking.failures import Failures
from .blocking.options import Options, Server, tls_arguments
from .blocking.polling import Dialogue, Wakeup
from .blocking.seams import Seams
from .blocking.sockets import File, Keepalive
from .command_handler import GearmanCommandHandler
from .connection import GearmanConnection
from .constants import _DEBUG_MODE_ as _DEBUG_MODE_
from .encoders import DataEncoder, Encoder, NoopEncoder
from .errors import ConnectionError as ConnectionError
from .errors import GearmanError, ProtocolError
from .errors import ServerUnavailable as ServerUnavailable
from .job import Connection, GearmanJob, GearmanJobRequest
from .protocol import Received, Sendable
from .util import Address

__all__ = ["DataEncoder", "GearmanConnectionManager", "NoopEncoder"]

gearman_logger = logging.getLogger(__name__)


class GearmanConnectionManager:
    """Connections to any number of servers, each with a handler of its commands.

    `host_list` names the servers: "host", "host:port", "[::1]:4730", "unix:/path", a
    tuple (host, port), or for TLS a dict with host, port, keyfile, certfile and
    ca_certs. A connection is opened when it is first needed. The options can also be
    set on a class or an instance, before connections are added.

    connect_timeout: seconds that opening a connection may take; None: no limit.
    read_timeout: seconds after which a server counts as lost if it has not answered a
        request. Waiting for the result of a job does not count. None: no limit.
    keepalive: when the system probes idle connections; None: never.
    ssl_context: all connections use TLS with this context.
    max_packet: bytes that a packet from a server may have, such as a result or a job
        with its workload; None: 4 GiB. A larger packet raises ProtocolError before it
        is read, and its connection is closed.
    discover: clients and workers ask for the other servers of a cluster, and use them.

    Subclasses may set `data_encoder`, which encodes objects as payloads and decodes
    payloads. NoopEncoder, the usual one, encodes str and bytes only.

    Raises TypeError for an unknown option, and ValueError for a wrong address or a
    `host_list` that is one string. GearmanError: a wrong type, or an incomplete dict.
    """

    command_handler_class: type[GearmanCommandHandler] | None = None
    connection_class: type[GearmanConnection] = GearmanConnection

    job_class: type[GearmanJob] = GearmanJob
    job_request_class: type[GearmanJobRequest] = GearmanJobRequest

    data_encoder: Encoder = NoopEncoder

    connect_timeout: float | None = 10.0
    read_timeout: float | None = None
    keepalive: Keepalive | None = Keepalive()
    ssl_context: ssl.SSLContext | None = None
    max_packet: int | None = None

    # Ends a poll early.
    _wakeup: Wakeup | None = None

    # Is entered while a poll waits, so that other threads can use the connections.
    _idle: AbstractContextManager[None] | None = None

    def __init__(
        self, host_list: Iterable[Server] | None = None, **options: Unpack[Options]
    ) -> None:
        assert self.command_handler_class is not None, "there is no command handler"
        for name, value in options.items():
            if name not in Options.__annotations__:
                raise TypeError(f"{type(self).__name__} has no option {name!r}")
            setattr(self, name, value)
        self._dialogue = Dialogue()
        self._failures = Failures()
        self._process = os.getpid()
        self.connection_list: list[GearmanConnection] = []
        self.handler_to_connection_map: dict[
            GearmanCommandHandler, GearmanConnection
        ] = {}
        self.connection_to_handler_map: dict[Connection, GearmanCommandHandler] = {}
        self.handler_initial_state: dict[str, Any] = {}

        if isinstance(host_list, str | bytes):
            raise ValueError(f"host_list is a list of servers: write [{host_list!r}]")
        for server in host_list or ():
            self._add_server(server)

    def _set(self, option: str, value: object) -> None:
        """Set an option; None leaves the value that the class has."""
        if value is not None:
            setattr(self, option, value)

    def _add_server(self, server: Server) -> None:
        if isinstance(server, dict):
            self.add_ssl_connection(**tls_arguments(server))
        elif isinstance(server, str | bytes | tuple | list):
            self.add_connection(server)
        else:
            raise GearmanError(
                f"a server is 'host:port', (host, port) or a dict, not {server!r}"
            )

    # Connections.

    def add_connection(self, hostport_tuple: Address) -> GearmanConnection:
        """Add a server and return its connection, which is still closed."""
        host, port = util.disambiguate_server_parameter(hostport_tuple)
        return self._add(self.connection_class(host=host, port=port))

    def add_ssl_connection(
        self, host: str, port: int, keyfile: File, certfile: File, ca_certs: File
    ) -> GearmanConnection:
        """Add a server with TLS that asks for a certificate; return its connection."""
        return self._add(
            self.connection_class(
                host=host,
                port=port,
                keyfile=keyfile,
                certfile=certfile,
                ca_certs=ca_certs,
            )
        )

    def _add(self, connection: GearmanConnection) -> GearmanConnection:
        connection.connect_timeout = self.connect_timeout
        connection.keepalive = self.keepalive
        connection.max_packet = self.max_packet
        if self.ssl_context is not None:
            connection.ssl_context = self.ssl_context
        self.connection_list.append(connection)
        return connection

    def establish_connection(
        self, current_connection: GearmanConnection
    ) -> GearmanConnection:
        """Open a connection that is not open, with a new handler; return it.

        A connection that the server has closed meanwhile is opened again. Raises
        ConnectionError if the connection cannot be opened.
        """
        assert current_connection in self.connection_list, (
            f"Unknown connection - {current_connection!r}"
        )
        self._drop_inherited()
        if current_connection.connected and not self._has_ended(current_connection):
            return current_connection
        self._forget(current_connection)
        try:
            current_connection.connect()
        except ConnectionError as error:
            self._failures.note(current_connection, error)
            raise

        assert self.command_handler_class is not None
        handler = self.command_handler_class(connection_manager=self)
        self.handler_to_connection_map[handler] = current_connection
        self.connection_to_handler_map[current_connection] = handler
        handler.initial_state(**self.handler_initial_state)
        return current_connection

    def _opened(
        self, connections: Iterable[GearmanConnection]
    ) -> list[GearmanConnection]:
        """Open connections, and return those that could be opened."""
        opened = []
        for connection in connections:
            try:
                opened.append(self.establish_connection(connection))
            except ConnectionError as error:
                gearman_logger.debug("cannot connect: %s", error)
        return opened

    def _has_ended(self, connection: GearmanConnection) -> bool:
        """Give up an open connection if the server has closed it; return True then."""
        has_ended = getattr(connection, "has_ended", None)
        if has_ended is None or not has_ended():
            return False
        gearman_logger.debug("%r was closed by the server", connection)
        self._give_up(connection)
        return True

    def _give_up(self, connection: GearmanConnection) -> None:
        """Give up a connection that has ended."""
        self.handle_error(connection)

    def _unavailable(
        self, text: str = "Found no valid connections in list"
    ) -> ServerUnavailable:
        return self._failures.unavailable(self.connection_list, text)

    def _forget(self, connection: GearmanConnection) -> GearmanCommandHandler | None:
        """Drop the handler of a connection and return it."""
        handler = self.connection_to_handler_map.pop(connection, None)
        if handler is not None:
            self.handler_to_connection_map.pop(handler, None)
        return handler

    def _drop_inherited(self) -> None:
        """In a forked child process, leave the connections to the parent process.

        Otherwise both would read from the same socket, and each would miss the data
        that the other has read. Closing a descriptor here sends nothing to the server.
        """
        if self._process != os.getpid():
            self._process = os.getpid()
            for connection in self.connection_list:
                self.handle_error(connection)

    def shutdown(self) -> None:
        """Close all connections; a connection that is used later is opened again."""
        for connection in self.connection_list:
            connection.close()

    def close(self) -> None:
        """Close all connections, and drop their handlers."""
        self.shutdown()
        for connection in self.connection_list:
            self._forget(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def handle_read(self, current_connection: GearmanConnection) -> None:
        """Receive the data that has arrived, and have the handler act on it."""
        handler = self.connection_to_handler_map.get(current_connection)
        if handler is None:
            # It was given up while another connection was handled.
            return
        current_connection.read_data_from_socket()
        self._handle_received(current_connection)

    def _handle_received(self, connection: GearmanConnection) -> None:
        try:
            connection.read_commands_from_buffer()
        finally:
            self.connection_to_handler_map[connection].fetch_commands()

    def handle_write(self, current_connection: GearmanConnection) -> None:
        """Send as much as the socket accepts."""
        if current_connection.connected:
            current_connection.send_commands_to_buffer()
            current_connection.send_data_to_socket()

    def handle_error(self, current_connection: GearmanConnection) -> None:
        """Give up a connection; its requests become JOB_UNKNOWN."""
        handler = self.connection_to_handler_map.pop(current_connection, None)
        if handler is not None:
            handler.on_io_error()
            self.handler_to_connection_map.pop(handler, None)
        current_connection.close()

    # Polling.

    def poll_connections_once(
        self,
        submitted_connections: Iterable[GearmanConnection],
        timeout: float | None = None,
    ) -> Activity:
        """Wait for activity; return the readable, writable and broken connections.

        Waits `timeout` seconds at most (None: no limit). A connection with data to send
        is returned as writable at once, until its socket accepts no more.
        """
        if timeout is not None and timeout < 0.0:
            return set(), set(), set()
        return poll_once(submitted_connections, timeout, self._wakeup, self._idle)

    def handle_connection_activity(
        self,
        rd_connections: set[GearmanConnection],
        wr_connections: set[GearmanConnection],
        ex_connections: set[GearmanConnection],
    ) -> Activity:
        """Read, write and give up connections; return the sets, lost ones last."""
        lost = set(ex_connections)
        for connection in rd_connections:
            self._guarded(self.handle_read, connection, lost)
        for connection in wr_connections:
            self._guarded(self.handle_write, connection, lost)
        for connection in lost:
            self.handle_error(connection)
        return rd_connections, wr_connections, lost

    def _guarded(
        self,
        handle: Callable[[GearmanConnection], object],
        connection: GearmanConnection,
        lost: set[GearmanConnection],
    ) -> None:
        try:
            handle(connection)
        except ConnectionError as error:
            gearman_logger.debug("connection lost: %s", error)
            self._failures.note(connection, error)
            lost.add(connection)
        except ProtocolError:
            # What follows on this connection cannot be read.
            self.handle_error(connection)
            raise

    def poll_connections_until_stopped(
        self,
        submitted_connections: Iterable[GearmanConnection],
        callback_fxn: Callable[[bool], object],
        timeout: float | None = None,
    ) -> bool:
        """Poll until the callback returns False, or for `timeout` seconds.

        The callback is called before the first poll and after each poll; its argument
        is whether there was any activity. Returns False if the callback ended the
        polling, True after the timeout. Raises ServerUnavailable as soon as no
        connection is open.
        """
        self._drop_inherited()
        stopwatch = util.Stopwatch(timeout)
        # Other threads may add connections to the list of all meanwhile.
        every = submitted_connections is self.connection_list
        connections = self.connection_list if every else list(submitted_connections)
        wanted: object = callback_fxn(False)
        talk = bool(wanted and len(connections) == 1 and self._may_talk(connections[0]))
        turn = self._turn(talk, connections)
        while wanted and any_connected(connections):
            remaining = stopwatch.get_time_remaining()
            if remaining == 0.0:
                return True
            wanted = callback_fxn(turn(remaining))
        if not any_connected(connections):
            raise self._unavailable()
        return False

    def _turn(
        self, talk: bool, connections: list[GearmanConnection]
    ) -> Callable[[float | None], bool]:
        """Return a function that polls once, and returns if there was any activity."""
        if talk:
            return partial(self._talk, connections[0])
        return partial(self._poll, connections)

    def _poll(
        self, connections: list[GearmanConnection], timeout: float | None
    ) -> bool:
        found = self.poll_connections_once(
            connections, timeout=self._poll_time(connections, timeout)
        )
        # Subclasses often return nothing, so the returned value is not used.
        self.handle_connection_activity(*found)
        self._drop_silent(connections)
        return any(found)

    def _poll_time(
        self, connections: list[GearmanConnection], remaining: float | None
    ) -> float | None:
        """Return in how many seconds the first silent server is given up."""
        if self.read_timeout is None:
            return remaining
        silent = silent_since(connections, self.connection_to_handler_map)
        if not silent:
            return remaining
        first = min(silent.values()) + self.read_timeout
        left = max(0.0, first - time.monotonic())
        return left if remaining is None else min(left, remaining)

    def _drop_silent(self, connections: list[GearmanConnection]) -> None:
        if self.read_timeout is None:
            return
        latest = time.monotonic() - self.read_timeout
        silent = silent_since(connections, self.connection_to_handler_map)
        for connection in [each for each, since in silent.items() if since <= latest]:
            text = f"no answer from {connection!r} in {self.read_timeout:g} seconds"
            gearman_logger.error("%s", text)
            self._failures.note(connection, text)
            self.handle_error(connection)

    def _may_talk(self, connection: GearmanConnection) -> bool:
        return (
            self.read_timeout is None
            and connection.connected
            and _POLLING.intact(self)
            and _SOCKET.intact(connection)
        )

    def _talk(self, connection: GearmanConnection, timeout: float | None) -> bool:
        """Poll one connection in less time; return whether there was any activity."""
        read, write = False, True
        lost: set[GearmanConnection] = set()
        unsent = connection.unsent_bytes > 0
        if unsent and not connection.blocked:
            self._guarded(self.handle_write, connection, lost)
        else:
            read, write = self._dialogue.wait(
                connection.fileno(), unsent, timeout, self._wakeup, self._idle
            )
            if read:
                self._guarded(self.handle_read, connection, lost)
            if write:
                self._guarded(self.handle_write, connection, lost)
        if lost:
            self.handle_error(connection)
        return read or write

    # Called by handlers.

    def read_command(
        self, command_handler: GearmanCommandHandler
    ) -> tuple[int, Received] | None:
        """Return the next command for a handler, or None."""
        connection = self.handler_to_connection_map.get(command_handler)
        return None if connection is None else connection.read_command()

    def send_command(
        self, command_handler: GearmanCommandHandler, cmd_type: int, cmd_args: Sendable
    ) -> None:
        """Queue a command on the handler's connection."""
        self.handler_to_connection_map[command_handler].send_command(cmd_type, cmd_args)

    def on_gearman_error(self, error_code: str, error_text: str) -> bool:
        """Log an ERROR packet of a server."""
        gearman_logger.error(
            "Received error from server: %s: %s", error_code, error_text
        )
        return False

    def current_time(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()


_POLLING = Seams(
    GearmanConnectionManager, "poll_connections_once", "handle_connection_activity"
)
_SOCKET = Seams(GearmanConnection, "fileno", "readable", "writable")
