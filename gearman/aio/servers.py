"""The servers of a client or worker: their addresses, and opening connections."""

import asyncio
import os
import random
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar, cast

from ..address import UNIX, format_address
from ..blocking.sockets import Keepalive, is_own_peer, keep_alive
from ..cli import servers as tools
from ..client_core.server_order import rest_after
from ..errors import ConnectionError, ServerUnavailable
from ..util import host_and_port
from .link import Link

AnyLink = TypeVar("AnyLink", bound=Link)

# Seconds until the next attempt after the first failed one, and after many.
_FIRST_REST: Final = 1.0
_LONGEST_REST: Final = 60.0

# Seconds in which a server may accept what is still to be sent, before it is closed.
PATIENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Opening:
    """How connections are opened.

    tls: a context, or True for one with the certificates that the environment names,
        as the tools use it.
    timeout: seconds that it may take; None: no limit.
    keepalive: when the system probes idle connections; None: never.
    max_packet: bytes that a packet of the server may have; None: 4 GiB.
    """

    tls: ssl.SSLContext | bool | None = None
    timeout: float | None = 10.0
    keepalive: Keepalive | None = Keepalive()
    max_packet: int | None = None

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context, if there is one. Raises ConfigurationError."""
        if self.tls is True:
            return tools.tls(os.environ)
        return self.tls or None


class Server(Generic[AnyLink]):
    """A server: the connection to it if it is open, and when to try it again."""

    def __init__(
        self,
        host: str,
        port: int,
        opening: Opening,
        link: Callable[["Server[AnyLink]"], AnyLink],
    ) -> None:
        self.gearman_host = host
        self.gearman_port = port
        self.name = format_address(host, port)
        self.opening = opening
        self._make = link
        self.link: AnyLink | None = None
        self.allowed_connect_time = 0.0
        # Whether it must not be opened again.
        self.shut = False
        self._failures = 0
        self._attempt: asyncio.Task[AnyLink] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is an open connection."""
        return self.link is not None and self.link.connected

    @property
    def idle(self) -> bool:
        """Whether there is no open connection, and none is being opened."""
        return not self.connected and self._attempt is None

    def get_address(self) -> tuple[str, int]:
        """Return host and port of the server."""
        return self.gearman_host, self.gearman_port

    async def open(self) -> AnyLink:
        """Return the open connection. Raises ConnectionError if there can be none.

        All who want it at the same time wait for the same attempt. It goes on if one of
        them is cancelled.
        """
        if self.link is not None and self.link.connected:
            return self.link
        if self.shut:
            raise ConnectionError(f"{self.name}: closed")
        if self._attempt is None:
            self._attempt = asyncio.create_task(self._open())
            self._attempt.add_done_callback(self._opened)
        attempt = self._attempt
        await asyncio.wait([attempt])
        if attempt.cancelled():
            raise ConnectionError(f"{self.name}: closed")
        return attempt.result()

    def _opened(self, attempt: "asyncio.Task[AnyLink]") -> None:
        self._attempt = None
        # Nobody may wait for it any more.
        if not attempt.cancelled():
            attempt.exception()

    async def _open(self) -> AnyLink:
        try:
            async with asyncio.timeout(self.opening.timeout):
                link = await self._connect()
        except (OSError, UnicodeError) as error:
            self.rest()
            raise ConnectionError(f"{self.name}: {_reason(error)}") from error
        self._failures = 0
        self.allowed_connect_time = 0.0
        self.link = link
        return link

    async def _connect(self) -> AnyLink:
        loop, context = asyncio.get_running_loop(), self.opening.context()
        host, port = self.gearman_host, self.gearman_port
        if host.startswith(UNIX):
            path = host.removeprefix(UNIX)
            _, link = await loop.create_unix_connection(lambda: self._make(self), path)
            return link
        transport, link = await loop.create_connection(
            lambda: self._make(self), host, port, ssl=context
        )
        # asyncio wraps it, to keep programs from closing it.
        opened = cast(socket.socket, transport.get_extra_info("socket"))
        if is_own_peer(opened):
            transport.abort()
            raise ConnectionRefusedError(f"nobody listens on port {port}")
        keepalive = self.opening.keepalive
        if keepalive is not None:
            keep_alive(opened, keepalive.idle, keepalive.interval, keepalive.count)
        return link

    def rest(self) -> None:
        """Set the time of the next attempt; the pause grows with each failure."""
        share = random.uniform(0.5, 1.5)
        pause = rest_after(self._failures, _FIRST_REST, _LONGEST_REST, share)
        self._failures += 1
        self.allowed_connect_time = time.monotonic() + pause

    async def close(self, reason: str) -> None:
        """Close the connection, and end an attempt to open one."""
        attempt = self._attempt
        if attempt is not None:
            attempt.cancel()
            await asyncio.wait([attempt])
        if self.link is not None:
            await self.link.close(reason, PATIENCE)


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    if text is not None and text.startswith("Connect call failed"):
        # asyncio has put the address in the place of the reason.
        return os.strerror(cast(OSError, error).errno or 0)
    return tools.reason(error)


def servers_of(
    addresses: Sequence[str],
    opening: Opening,
    link: Callable[[Server[AnyLink]], AnyLink],
) -> list[Server[AnyLink]]:
    """Return the servers with these addresses.

    Without addresses these are GEARMAN_SERVERS of the environment, or localhost:4730.
    Raises ValueError for what is no address.
    """
    if addresses:
        places = [host_and_port(text) for text in addresses]
    else:
        places = tools.addresses("localhost", "", os.environ, given=False)
    return [Server(host, port, opening, link) for host, port in places]


def unavailable(problems: Sequence[BaseException]) -> ServerUnavailable:
    """Return the error for servers that cannot be reached."""
    return ServerUnavailable("; ".join(map(str, problems)) or "there are no servers")


async def close_all(servers: Sequence[Server[AnyLink]], reason: str) -> None:
    """Close the connections to all servers, at the same time."""
    async with asyncio.TaskGroup() as group:
        for server in servers:
            group.create_task(server.close(reason))
