"""The connection of a relay, on asyncio: it is made, served, and made again."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any, Final, TypeVar

from ....address import UNIX, format_address
from ....errors import ProtocolError
from ...settings.levels import NOTICE
from ...settings.tables.relays import tls_context
from ..lane import Lane, State

# Seconds that a connection may take, with the TLS handshake.
CONNECTING: Final = 10.0

log = logging.getLogger("gearman.server")

T = TypeVar("T")


class _Connection(asyncio.Protocol):
    """Tells what happens to a connection; `ended` gets the reason of its end."""

    def __init__(self, received: Callable[[bytes], None]) -> None:
        self._received = received
        self.transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.ended.done():
            self._received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.end(reason_of(error) if error else "it has closed the connection")

    def end(self, reason: str) -> None:
        """Close the connection at once."""
        assert self.transport is not None  # noqa: S101
        self.transport.abort()
        if not self.ended.done():
            self.ended.set_result(reason)


class Dialer:
    """Keeps a lane connected.

    `begin_turn` is called before the broker is used. `complain` gets sentences about
    jobs for the log.
    """

    def __init__(
        self,
        lane: Lane,
        begin_turn: Callable[[], None],
        complain: Callable[[str], None],
    ) -> None:
        self._lane = lane
        self._begin_turn = begin_turn
        self._complain = complain
        self._connection: _Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Bytes that the system has not accepted yet.
        self._unsent = 0
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run())

    def pump(self) -> None:
        """Pass on jobs that may be there now."""
        if self._connection is not None:
            self._begin_turn()
            self._lane.pump()
            self._send()

    def close(self) -> None:
        """End the connection, and make no other one."""
        self._task.cancel()
        self._stop_timer()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.end("")

    async def _run(self) -> None:
        while True:
            server = self._lane.route.server
            try:
                async with asyncio.timeout(CONNECTING):
                    connection = await self._connect(*server)
            except (OSError, TimeoutError) as error:
                reason = reason_of(error)
            else:
                reason = await self._serve(connection)
            self._begin_turn()
            if reason != self._lane.error or self._lane.state == State.READY:
                where = format_address(*server)
                log.warning("relay %s: %s: %s", self._lane.relay.name, where, reason)
            await asyncio.sleep(self._lane.lost(reason))

    async def _connect(self, host: str, port: int) -> _Connection:
        make = partial(_Connection, self._received)
        if host.startswith(UNIX):
            path = host.removeprefix(UNIX)
            _, connection = await self._loop.create_unix_connection(make, path)
            return connection
        files, context = self._lane.relay.tls, None
        if files is not None:
            # Reading all authorities of the system takes some time.
            context = await in_thread(partial(tls_context, files))
        found = await in_thread(
            partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        )
        for number, (*_, address) in enumerate(found, 1):
            try:
                _, connection = await self._loop.create_connection(
                    *(make, str(address[0]), port),
                    ssl=context,
                    server_hostname=host if context else None,
                )
            except OSError:
                if number == len(found):
                    raise
            else:
                break
        return connection

    async def _serve(self, connection: _Connection) -> str:
        """Use a connection until it ends, and return why it did."""
        self._connection = connection
        self._begin_turn()
        self._lane.opened()
        self._send()
        try:
            return await connection.ended
        finally:
            self._connection = None
            self._stop_timer()

    def _received(self, data: bytes) -> None:
        self._begin_turn()
        asked = self._lane.state == State.ASKING
        try:
            self._lane.receive(data)
            self._lane.pump()
        except ProtocolError as error:
            self._end(str(error))
            return
        if asked and self._lane.state == State.READY:
            where = format_address(*self._lane.route.server)
            log.log(NOTICE, "relay %s: connected to %s", self._lane.relay.name, where)
        self._send()

    def _look(self) -> None:
        """Do what is due."""
        assert self._connection is not None  # noqa: S101
        assert self._connection.transport is not None  # noqa: S101
        self._begin_turn()
        unsent = self._connection.transport.get_write_buffer_size()
        if self._lane.check(unsent < self._unsent):
            self._lane.pump()
            self._send()
        else:
            self._end("it does not answer")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.end(reason)

    def _send(self) -> None:
        """Send what there is, and set the timer."""
        assert self._connection is not None  # noqa: S101
        transport = self._connection.transport
        assert transport is not None  # noqa: S101
        for line in self._lane.notices:
            self._complain(line)
        self._lane.notices.clear()
        if data := self._lane.data_to_send():
            transport.write(data)
        self._unsent = transport.get_write_buffer_size()
        self._stop_timer()
        self._timer = self._loop.call_at(self._lane.due(), self._look)


async def in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread, which does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def tell(setter: Callable[[Any], None], value: object) -> None:
        def tell_here() -> None:
            if not result.done():
                setter(value)

        # The loop may have been closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell_here)

    def run() -> None:
        try:
            value = function()
        except OSError as error:
            tell(result.set_exception, error)
        else:
            tell(result.set_result, value)

    Thread(target=run, daemon=True).start()
    return await result


def reason_of(error: BaseException) -> str:
    """Return why there is no connection, for the log."""
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECTING:g} seconds"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
