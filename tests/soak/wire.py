"""A test connection for asyncio, with TLS or without."""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import Self

from tests.servers import DEADLINE, HOST
from tests.wire import NAMES, RESPONSE

# The reader's limit, which is more than any player requests.
LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True)
class Address:
    """The address of a server; `http` is 0 if it does not speak HTTP."""

    port: int
    http: int = 0
    tls: ssl.SSLContext | None = None
    authority: str = ""
    certificate: str = ""


class Wire:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, address: Address, port: int = 0) -> Self:
        async with asyncio.timeout(DEADLINE):
            reader, writer = await asyncio.open_connection(
                HOST, port or address.port, ssl=address.tls, limit=LIMIT
            )
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(reader, writer)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(DEADLINE):
            await self._writer.drain()

    async def send_slowly(self, data: bytes) -> None:
        """Send data in some pieces, with pauses."""
        step = max(1, len(data) // 4)
        for start in range(0, len(data), step):
            await self.send(data[start : start + step])
            await asyncio.sleep(0.05)

    async def receive(self, seconds: float = DEADLINE) -> tuple[str, bytes]:
        """Return name and body of the next packet. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            header = await self._reader.readexactly(12)
            assert header[:4] == RESPONSE, header
            body = await self._reader.readexactly(int.from_bytes(header[8:], "big"))
        return NAMES[int.from_bytes(header[4:8], "big")], body

    async def read_some(self, seconds: float) -> bytes:
        """Return the data that arrives within a time; b"" if there is none."""
        try:
            async with asyncio.timeout(seconds):
                return await self._reader.read(1 << 20)
        except (TimeoutError, ConnectionError):
            return b""

    def stop_reading(self) -> None:
        """Stop reading from the socket."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    def go_on_reading(self) -> None:
        self._writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def ask(self, line: bytes) -> bytes:
        """Return the answer to an admin line, which is one line."""
        await self.send(line + b"\n")
        async with asyncio.timeout(DEADLINE):
            return await self._reader.readline()

    async def ask_list(self, line: bytes) -> list[list[bytes]]:
        """Return the fields of the list that answers an admin line."""
        await self.send(line + b"\n")
        found = []
        async with asyncio.timeout(DEADLINE):
            while (answer := await self._reader.readline()) != b".\n":
                assert answer, "the server has closed the connection"
                found.append(answer.rstrip(b"\n").split(b"\t"))
        return found

    async def close(self) -> None:
        """Close the connection gracefully."""
        self._writer.close()
        try:
            async with asyncio.timeout(DEADLINE):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self.abort()

    def abort(self) -> None:
        """Close the connection abruptly."""
        self._writer.transport.abort()
