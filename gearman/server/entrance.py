"""From an accepted socket to a connection: plain, with TLS, in the engine, or none."""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .access import Gate
from .certificates import Certificates
from .connection import Connection, EngineConnection
from .gear import Gear
from .protocol import Service
from .sockets import Address, host_of
from .tls import TlsConnection

if TYPE_CHECKING:
    from .listener import Listener

log = logging.getLogger("gearman.server")


class Entrance:
    """Makes the connections of a listener, of the sockets that it accepts.

    With `certificates` those that come by TCP speak TLS. Plain ones that speak gear
    go to the `engine`, if there is one.
    """

    def __init__(self, listener: "Listener", certificates: Certificates | None) -> None:
        self._listener = listener
        self._certificates = certificates
        self._gate = Gate(listener.config.allow_from)
        self._connecting: set[asyncio.Task[None]] = set()
        self.engine: Any = None

    def accept(self, service: Service, sock: socket.socket, address: Address) -> None:
        """Let in, or turn away, a peer that is to speak the protocol of `service`."""
        listener = self._listener
        if not self._gate.admits(host_of(address)):
            self._refuse(sock, host_of(address))
        elif self._certificates is not None and sock.family != socket.AF_UNIX:
            context = self._certificates.context
            self._start(sock, TlsConnection(listener, service, address, context))
        elif self.engine is not None and isinstance(service, Gear):
            connection = EngineConnection(listener, service, address)
            channel = self.engine.open(sock, connection, host_of(address))
            connection.connection_made(channel)
        else:
            self._start(sock, Connection(listener, service, address))

    def reload(self) -> None:
        """Read the certificates again, for the connections to come."""
        if self._certificates is not None:
            self._certificates.reload()

    def _refuse(self, sock: socket.socket, host: str) -> None:
        sock.close()
        if complaint := self._gate.complaint(host, self._listener.time()):
            log.warning("%s", complaint)

    def _start(self, sock: socket.socket, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(_connect(sock, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)


async def _connect(sock: socket.socket, connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    # The peer may be gone again before its connection is set up.
    with suppress(OSError):
        await loop.connect_accepted_socket(lambda: connection, sock)
