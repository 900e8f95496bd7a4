"""A server whose packets a test writes, in the event loop of the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.listening import stop
from tests.servers import HOST
from tests.wire import NAMES, REQUEST, RESPONSE, Packet, packet


class Talk:
    """The server's side of a connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, name: str | int, *arguments: bytes) -> None:
        self.writer.write(packet(name, *arguments, magic=RESPONSE))

    async def receive(self) -> Packet:
        header = await self.reader.readexactly(12)
        assert header[:4] == REQUEST, header
        number, length = (int.from_bytes(header[n : n + 4], "big") for n in (4, 8))
        return Packet(NAMES[number], await self.reader.readexactly(length))

    async def expect(self, *names: str) -> list[bytes]:
        """Return the arguments of the last of these packets, which must come next."""
        received = Packet("", b"")
        for name in names:
            received = await self.receive()
            assert received.name == name, received
        return received.arguments

    async def line(self) -> bytes:
        return await self.reader.readline()

    async def ended(self) -> bool:
        """Whether the client has closed the connection, and sent nothing more."""
        return await self.reader.read(1) == b""

    def close(self) -> None:
        self.writer.close()

    def abort(self) -> None:
        self.writer.transport.abort()


class Scripted:
    """A server that accepts connections; `accept` returns them in their order."""

    def __init__(self) -> None:
        self.talks: list[Talk] = []
        self.address = ""
        self._new: asyncio.Queue[Talk] = asyncio.Queue()

    async def accept(self, *greeting: str) -> Talk:
        """Return the next connection, whose first packets these must be."""
        talk = await self._new.get()
        await talk.expect(*greeting)
        return talk

    def _accepted(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        talk = Talk(reader, writer)
        self.talks.append(talk)
        self._new.put_nowait(talk)


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    """Run a server whose answers the test writes."""
    script = Scripted()
    server = await asyncio.start_server(script._accepted, HOST, 0)
    host, port = server.sockets[0].getsockname()
    script.address = f"{host}:{port}"
    try:
        yield script
    finally:
        await stop(server)
        for talk in script.talks:
            talk.abort()
        await server.wait_closed()
        for talk in script.talks:
            with suppress(OSError):
                await talk.writer.wait_closed()
