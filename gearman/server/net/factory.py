"""From an accepted socket to a connection: plain, with TLS, in the engine, or none."""

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final

from ..protocols.gear import Gear
from ..protocols.interface import Service
from ..settings.certificates import Certificates
from ..settings.process import connections_allowed
from .access import Crowd, Gate
from .connection import Connection, EngineConnection
from .sockets import Address, host_of
from .tls import TlsConnection

if TYPE_CHECKING:
    from .listener import Listener

_WHY: Final = {
    "allow-from": "--allow-from does not name it",
    "max-connections": "there are as many connections as --max-connections allows",
    "max-connections-per-address": (
        "it has as many connections as --max-connections-per-address allows"
    ),
}


class Entrance:
    """Makes the connections of a listener, of the sockets that it accepts.

    With `certificates` those that come by TCP speak TLS. Plain ones that speak gear
    go to the `engine`, if there is one.
    """

    def __init__(self, listener: "Listener", certificates: Certificates | None) -> None:
        self._listener = listener
        self._certificates = certificates
        config = listener.config
        self._gate = Gate(config.allow_from)
        most = config.max_connections or connections_allowed()
        self.crowd = Crowd(most, config.max_connections_per_address)
        self._connecting: set[asyncio.Task[None]] = set()
        self.engine: Any = None

    def accept(self, service: Service, sock: socket.socket, address: Address) -> None:
        """Let in, or turn away, a peer that is to speak the protocol of `service`."""
        listener = self._listener
        host = host_of(address)
        if why := self._refusal(host):
            self._refuse(sock, host, why)
            return
        self.crowd.enter(host)
        if self._certificates is not None and sock.family != socket.AF_UNIX:
            context = self._certificates.context
            self._start(sock, TlsConnection(listener, service, address, context))
        elif self.engine is not None and isinstance(service, Gear):
            connection = EngineConnection(listener, service, address)
            channel = self.engine.open(sock, connection, host)
            connection.connection_made(channel)
        else:
            self._start(sock, Connection(listener, service, address))

    def reload(self) -> None:
        """Read the certificates again, for the connections to come."""
        if self._certificates is not None:
            self._certificates.reload()

    def _refusal(self, host: str) -> str:
        """Return the option that keeps a peer out."""
        return self.crowd.full(host) if self._gate.admits(host) else "allow-from"

    def _refuse(self, sock: socket.socket, host: str, option: str) -> None:
        sock.close()
        self._listener.count(option)
        self._listener.complain(option, f"{host}: refused, {_WHY[option]}")

    def _start(self, sock: socket.socket, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(sock, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, sock: socket.socket, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: connection, sock)
        except OSError:
            # The peer was gone again before its connection was set up.
            sock.close()
            if not connection.made:
                self.crowd.leave(connection.host)
