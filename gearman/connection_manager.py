"""What client, worker and admin client share: connections, polling, dispatch."""

import logging
import os
import ssl
import time
from collections.abc import Iterable
from typing import Any, Self, TypedDict, Unpack

from . import compat as compat
from . import util
from .blocking.poll_loop import PollLoop
from .blocking.sockets import Keepalive
from .connection import GearmanConnection
from .constants import _DEBUG_MODE_ as _DEBUG_MODE_
from .encoders import DataEncoder, NoopEncoder
from .errors import ConnectionError as ConnectionError
from .errors import GearmanError
from .errors import ServerUnavailable as ServerUnavailable
from .job import GearmanJob, GearmanJobRequest

__all__ = ["DataEncoder", "GearmanConnectionManager", "NoopEncoder"]

gearman_logger = logging.getLogger(__name__)


class Options(TypedDict, total=False):
    """What clients, workers and admin clients may be told by name."""

    connect_timeout: float | None
    read_timeout: float | None
    keepalive: Keepalive | None
    ssl_context: ssl.SSLContext | None
    max_packet: int | None


_SSL_KEYS = ("host", "port", "keyfile", "certfile", "ca_certs")


class GearmanConnectionManager(PollLoop):
    """Connections to any number of servers, each with a handler of its commands.

    `host_list` names them: "host", "host:port", "[::1]:4730", "unix:/path", a tuple
    (host, port), or for TLS a dict with host, port, keyfile, certfile and ca_certs.
    Nothing is connected until it is needed. The options can also be set on a class
    or an instance, before connections are added.

    connect_timeout: seconds that opening a connection may take; None: no limit.
    read_timeout: seconds after which a server that owes an answer counts as lost;
        waiting for the result of a job does not count. None: no limit.
    keepalive: when the system probes idle connections; None: never.
    ssl_context: use TLS with it on all connections.
    max_packet: bytes that a packet from a server may have, such as a result or a job
        with its workload; None: 4 GiB. A larger one ends its connection before it is
        read, and raises ProtocolError.
    """

    command_handler_class: Any = None
    connection_class: Any = GearmanConnection

    job_class: Any = GearmanJob
    job_request_class: Any = GearmanJobRequest

    data_encoder: Any = NoopEncoder

    connect_timeout: float | None = 10.0
    read_timeout: float | None = None
    keepalive: Keepalive | None = Keepalive()
    ssl_context: ssl.SSLContext | None = None
    max_packet: int | None = None

    def __init__(
        self, host_list: Iterable[Any] | None = None, **options: Unpack[Options]
    ) -> None:
        assert self.command_handler_class is not None, "there is no command handler"
        for name, value in options.items():
            if name not in Options.__annotations__:
                raise TypeError(f"{type(self).__name__} has no option {name!r}")
            setattr(self, name, value)
        super().__init__()
        self._process = os.getpid()

        self.connection_list: list[Any] = []
        self.handler_to_connection_map: dict[Any, Any] = {}
        self.connection_to_handler_map: dict[Any, Any] = {}
        self.handler_initial_state: dict[str, Any] = {}

        if isinstance(host_list, str | bytes):
            raise ValueError(f"host_list is a list of servers: write [{host_list!r}]")
        for server in host_list or ():
            self._add_server(server)

    def _set(self, option: str, value: object) -> None:
        """Set an option that was given; the class has the others."""
        if value is not None:
            setattr(self, option, value)

    def _add_server(self, server: Any) -> None:
        if isinstance(server, dict):
            missing = [key for key in _SSL_KEYS if key not in server]
            if missing:
                lacking = ", ".join(missing)
                raise GearmanError(
                    f"Incomplete SSL connection definition: no {lacking}"
                )
            self.add_ssl_connection(**{key: server[key] for key in _SSL_KEYS})
        elif isinstance(server, str | bytes | tuple | list):
            self.add_connection(server)
        else:
            raise GearmanError(
                f"a server is 'host:port', (host, port) or a dict, not {server!r}"
            )

    # Connections.

    def add_connection(self, hostport_tuple: Any) -> Any:
        """Add a server and return its connection, which is not opened yet."""
        host, port = util.disambiguate_server_parameter(hostport_tuple)
        return self._add(self.connection_class(host=host, port=port))

    def add_ssl_connection(
        self, host: str, port: int, keyfile: Any, certfile: Any, ca_certs: Any
    ) -> Any:
        """Add a server that speaks TLS, and wants a certificate."""
        return self._add(
            self.connection_class(
                host=host,
                port=port,
                keyfile=keyfile,
                certfile=certfile,
                ca_certs=ca_certs,
            )
        )

    def _add(self, connection: Any) -> Any:
        connection.connect_timeout = self.connect_timeout
        connection.keepalive = self.keepalive
        connection.max_packet = self.max_packet
        if self.ssl_context is not None:
            connection.ssl_context = self.ssl_context
        self.connection_list.append(connection)
        return connection

    def establish_connection(self, current_connection: Any) -> Any:
        """Open a connection that is not open, with a new handler; return it.

        One whose server has closed it meanwhile is opened again. Raises
        ConnectionError if that fails.
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
            self._problems[current_connection] = str(error)
            raise

        handler = self.command_handler_class(connection_manager=self)
        self.handler_to_connection_map[handler] = current_connection
        self.connection_to_handler_map[current_connection] = handler
        handler.initial_state(**self.handler_initial_state)
        return current_connection

    def _opened(self, connections: Iterable[Any]) -> list[Any]:
        """Open connections and return those that are open then."""
        opened = []
        for connection in connections:
            try:
                opened.append(self.establish_connection(connection))
            except ConnectionError as error:
                gearman_logger.debug("cannot connect: %s", error)
        return opened

    def _has_ended(self, connection: Any) -> bool:
        """Give up an open connection if its server has closed it; return whether so."""
        has_ended = getattr(connection, "has_ended", None)
        if has_ended is None or not has_ended():
            return False
        gearman_logger.debug("%r was closed by the server", connection)
        self._give_up(connection)
        return True

    def _give_up(self, connection: Any) -> None:
        """Give up a connection that has ended."""
        self.handle_error(connection)

    def _forget(self, connection: Any) -> Any:
        """Drop the handler of a connection and return it."""
        handler = self.connection_to_handler_map.pop(connection, None)
        self.handler_to_connection_map.pop(handler, None)
        return handler

    def _drop_inherited(self) -> None:
        """In a forked child, leave the connections to the parent.

        Both would read the same socket otherwise, and each would miss what the
        other one gets. Closing a descriptor here sends nothing.
        """
        if self._process != os.getpid():
            self._process = os.getpid()
            for connection in self.connection_list:
                self.handle_error(connection)

    def shutdown(self) -> None:
        """Close all connections; what is used afterwards is opened again."""
        for connection in self.connection_list:
            connection.close()

    def close(self) -> None:
        """Close all connections."""
        self.shutdown()
        for connection in self.connection_list:
            self._forget(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def handle_read(self, current_connection: Any) -> None:
        """Receive what there is, and have the handler act on it."""
        handler = self.connection_to_handler_map.get(current_connection)
        if handler is None:
            # Given up while another connection was handled.
            return
        current_connection.read_data_from_socket()
        self._handle_received(current_connection)

    def _handle_received(self, connection: Any) -> None:
        try:
            connection.read_commands_from_buffer()
        finally:
            self.connection_to_handler_map[connection].fetch_commands()

    def handle_write(self, current_connection: Any) -> None:
        """Send what the socket takes."""
        if current_connection.connected:
            current_connection.send_commands_to_buffer()
            current_connection.send_data_to_socket()

    def handle_error(self, current_connection: Any) -> None:
        """Give up a connection; its requests become JOB_UNKNOWN."""
        handler = self.connection_to_handler_map.pop(current_connection, None)
        if handler is not None:
            handler.on_io_error()
        self.handler_to_connection_map.pop(handler, None)
        current_connection.close()

    # What handlers call.

    def read_command(self, command_handler: Any) -> tuple[int, dict[str, Any]] | None:
        """Return the next command for a handler, or None."""
        connection = self.handler_to_connection_map.get(command_handler)
        if connection is None:
            return None
        command: tuple[int, dict[str, Any]] | None = connection.read_command()
        return command

    def send_command(
        self, command_handler: Any, cmd_type: int, cmd_args: dict[str, Any]
    ) -> None:
        """Queue a command on the handler's connection."""
        self.handler_to_connection_map[command_handler].send_command(cmd_type, cmd_args)

    def on_gearman_error(self, error_code: str, error_text: str) -> bool:
        """Log what a server complains about."""
        gearman_logger.error(
            "Received error from server: %s: %s", error_code, error_text
        )
        return False

    def current_time(self) -> float:
        """Return the seconds since the epoch."""
        return time.time()
