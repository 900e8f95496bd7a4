"""Accepting connections, and pausing while no descriptors are left."""

import asyncio
import logging
import socket
from collections.abc import Callable

from ..connections.peers import Address

# Connections that are accepted in one round, so that many new connections do not delay
# the existing ones.
BATCH = 64

# Seconds until accepting is tried again.
PAUSE = 0.5

log = logging.getLogger("gearman.server")


class Acceptor:
    """Accepts connections on a listening socket.

    `accepted` is called with the socket of each connection, and its peer's address.

    If the process or the system has no descriptors or memory left, accepting is paused,
    and new connections wait in the backlog. The log says when this begins and when it
    ends.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        accepted: Callable[[socket.socket, Address], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._accepted = accepted
        self._pause: asyncio.TimerHandle | None = None
        self._short = False

    def start(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock, self._accept)

    def close(self) -> None:
        """Stop accepting and close the listening socket."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(BATCH):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._wait(error)
                return
            sock.setblocking(False)
            self._accepted(sock, address)
            if self._short:
                self._short = False
                log.warning("accepting connections again")

    def _wait(self, error: OSError) -> None:
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(PAUSE, self.start)
        if not self._short:
            self._short = True
            log.error("accepting no connections for now: %s", error.strerror)
