"""Networks that tests can cut, and make slow."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from contextlib import suppress

from tests.listening import stop
from tests.servers import HOST


class Proxy:
    """Passes connections on to a port; `port` is its own.

    While it is cut, nothing gets through, and nobody is told: connections stay open, as
    with a cable that was pulled. All data arrive `delay` seconds later than they were
    sent.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._passing = asyncio.Event()
        self._passing.set()
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0
        self.delay = 0.0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        await stop(self._server)
        self.sever()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def cut(self) -> None:
        self._passing.clear()

    def heal(self) -> None:
        """Let data through again; what was held back arrives now."""
        self._passing.set()

    def sever(self) -> None:
        """End all connections."""
        for connection in self._connections:
            connection.cancel()

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        writers = [writer]
        try:
            await self._passing.wait()
            reader_there, writer_there = await asyncio.open_connection(
                HOST, self._target
            )
            writers.append(writer_there)
            await asyncio.gather(
                self._pass(reader, writer_there), self._pass(reader_there, writer)
            )
        except (OSError, asyncio.CancelledError):
            # Cancelled by `sever`, and by nobody else.
            pass
        finally:
            self._connections.discard(task)
            for each in writers:
                each.transport.abort()
            for each in writers:
                with suppress(OSError, asyncio.CancelledError):
                    await each.wait_closed()

    async def _pass(self, reader: StreamReader, writer: StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.delay:
                # What comes meanwhile waits in the socket.
                await asyncio.sleep(self.delay)
            await self._passing.wait()
            writer.write(data)
            await writer.drain()
        await self._passing.wait()
        writer.transport.abort()


class Network:
    """The connections of a server to some ports, each by a port of its own."""

    def __init__(self, targets: Sequence[int]) -> None:
        self._proxies = [Proxy(target) for target in targets]

    @property
    def ports(self) -> list[int]:
        return [proxy.port for proxy in self._proxies]

    async def start(self) -> None:
        for proxy in self._proxies:
            await proxy.start()

    async def close(self) -> None:
        for proxy in self._proxies:
            await proxy.close()

    def cut(self) -> None:
        for proxy in self._proxies:
            proxy.cut()

    def heal(self) -> None:
        for proxy in self._proxies:
            proxy.heal()

    def sever(self) -> None:
        for proxy in self._proxies:
            proxy.sever()

    def slow_down(self, seconds: float) -> None:
        for proxy in self._proxies:
            proxy.delay = seconds
