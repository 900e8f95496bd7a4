"""Making connections from accepted sockets: by asyncio, with TLS, or in the engine."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

from ..connections.access import AddressFilter, ConnectionCounter
from ..connections.channel import EngineConnection
from ..connections.connection import Connection
from ..connections.context import Context
from ..connections.peers import Address, host_of
from ..connections.streams.stream import StreamConnection
from ..connections.streams.tls import TlsConnection
from ..protocols.gear import Gear
from ..protocols.interface import Service
from ..settings.certificates import Certificates

_REASONS: Final = {
    "allow-from": "--allow-from does not name it",
    "max-connections": "there are as many connections as --max-connections allows",
    "max-connections-per-address": (
        "it has as many connections as --max-connections-per-address allows"
    ),
}


class ConnectionFactory:
    """Makes the connections of a server from the sockets that it accepts.

    With `certificates`, TCP connections use TLS. Connections without TLS that speak
    gear are given to the `engine`, if there is one.
    """

    def __init__(
        self,
        context: Context,
        counter: ConnectionCounter,
        certificates: Certificates | None,
        engine: Any,
    ) -> None:
        self._context = context
        self._counter = counter
        self._filter = AddressFilter(context.config.allow_from)
        self._certificates = certificates
        self._engine = engine
        self._connecting: set[asyncio.Task[None]] = set()

    def accept(self, service: Service, sock: socket.socket, address: Address) -> None:
        """Make a connection that speaks the protocol of `service`, or refuse it."""
        context = self._context
        host = host_of(address)
        if why := self._refusal(host):
            self._refuse(sock, host, why)
            return
        self._counter.enter(host)
        if self._certificates is not None and sock.family != socket.AF_UNIX:
            tls = self._certificates.context
            self._start(sock, TlsConnection(context, service, address, tls))
        elif self._engine is not None and isinstance(service, Gear):
            connection = EngineConnection(context, address)
            channel = self._engine.open(sock, connection, host)
            connection.connection_made(channel)
        else:
            self._start(sock, StreamConnection(context, service, address))

    def dial(
        self,
        service: Gear,
        sock: socket.socket,
        address: Address,
        begun: Callable[[Connection], None],
        lost: Callable[[str], None],
    ) -> None:
        """Make a connection from a socket that this server has connected.

        `begun` is called when it can be used, `lost` with the reason when it ends.
        """
        context, host = self._context, host_of(address)
        self._counter.enter(host)
        connection: Connection
        if self._certificates is not None:
            tls = self._certificates.as_client
            assert tls is not None  # noqa: S101
            connection = TlsConnection(context, service, address, tls, begun)
            connection.lost = lost
            self._start(sock, connection)
        elif self._engine is not None:
            connection = EngineConnection(context, address)
            connection.lost = lost
            connection.connection_made(self._engine.open(sock, connection, host))
            begun(connection)
        else:
            connection = StreamConnection(context, service, address)
            connection.lost = lost
            self._start(sock, connection, begun)

    def _refusal(self, host: str) -> str:
        """Return the name of the limit that excludes a peer, or ""."""
        if not self._filter.admits(host):
            return "allow-from"
        return self._counter.full(host)

    def _refuse(self, sock: socket.socket, host: str, option: str) -> None:
        sock.close()
        self._context.report.count(option)
        text = f"{host}: refused, {_REASONS[option]}"
        self._context.report.complain(option, text, facts=lambda: {"peer": host})

    def _start(
        self,
        sock: socket.socket,
        connection: StreamConnection,
        begun: Callable[[Connection], None] | None = None,
    ) -> None:
        connecting = self._connect(sock, connection, begun)
        task = asyncio.get_running_loop().create_task(connecting)
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(
        self,
        sock: socket.socket,
        connection: StreamConnection,
        begun: Callable[[Connection], None] | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: connection, sock)
            if begun is not None and not connection.closing:
                self._context.turns.begin()
                begun(connection)
        except OSError:
            # The peer has closed the connection before it was set up.
            sock.close()
            if not connection.made:
                self._counter.leave(connection.host)
                connection.tell_lost()
