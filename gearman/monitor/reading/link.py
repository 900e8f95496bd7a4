"""A connection to a job server, for admin commands."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Self

from ...address import UNIX, format_address
from ...util import host_and_port

# Seconds that a server may take to accept a connection, and for an answer.
PATIENCE: Final = 10.0
# Bytes of a line, and of an answer: 10,000 jobs have 20 MB at most.
LINE: Final = 1 << 20
ANSWER: Final = 256 << 20

# What is told of a server that does not know a command.
NO_COMMAND: Final = "this server has no such command"


class Refused(Exception):
    """A server refused a command; the text is its sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and how it is connected to."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, text: str, tls: ssl.SSLContext | None = None) -> Self:
        """Return the server of an address. Raises ValueError, with a sentence."""
        return cls(*host_and_port(text), tls)

    @property
    def address(self) -> str:
        return format_address(self.host, self.port)


class Link:
    """Asks a server, one command after the other.

    Raises OSError (also TimeoutError) if the server is not there or ends, ValueError if
    it does not answer as a job server does. After that the connection is of no use.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def to(cls, target: Target) -> AsyncIterator[Self]:
        """Connect to a server, and close the connection at the end."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await _connect(target)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def line(self, command: bytes, patience: float = PATIENCE) -> bytes:
        """Return the answer to a command that has one line. Raises Refused."""
        async with asyncio.timeout(patience):
            await self._send(command)
            return _accepted(await self._line())

    async def lines(self, command: bytes) -> list[bytes]:
        """Return the lines of a list, without the last one, `.`. Raises Refused."""
        async with asyncio.timeout(PATIENCE):
            await self._send(command)
            line = await self._line()
            # A function may have such a name, but its line has tabs.
            if line.startswith(b"ERR ") and b"\t" not in line:
                _accepted(line)
            found: list[bytes] = []
            size = 0
            while line != b".":
                found.append(line)
                size += len(line)
                if size > ANSWER:
                    raise ValueError("an answer that is too long")
                line = await self._line()
            return found

    async def send(self, command: bytes) -> None:
        """Send a command whose answer is read by `next_line`."""
        async with asyncio.timeout(PATIENCE):
            await self._send(command)

    async def next_line(self) -> bytes:
        """Wait for a line, as long as it takes."""
        return await self._line()

    async def _send(self, command: bytes) -> None:
        self._writer.write(command + b"\r\n")
        await self._writer.drain()

    async def _line(self) -> bytes:
        try:
            line = await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("the server closed the connection") from None
        except asyncio.LimitOverrunError:
            raise ValueError("a line that is too long") from None
        return line.removesuffix(b"\n").removesuffix(b"\r")


async def _connect(
    target: Target,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name = target.host if target.tls else None
    if target.host.startswith(UNIX):
        path = target.host.removeprefix(UNIX)
        return await asyncio.open_unix_connection(path, limit=LINE)
    return await asyncio.open_connection(
        target.host, target.port, limit=LINE, ssl=target.tls, server_hostname=name
    )


def _accepted(line: bytes) -> bytes:
    """Return a line. Raises Refused if it says ERR, with what is after that."""
    if not line.startswith(b"ERR "):
        return line
    text = line.removeprefix(b"ERR ").decode(errors="backslashreplace")
    code, _, sentence = text.partition(" ")
    if code == "UNKNOWN_COMMAND":
        # gearmand appends the first word of the command to the sentence.
        raise Refused(NO_COMMAND)
    if code.isupper():
        # gearmand writes a plus for each blank of the sentence.
        raise Refused(sentence.replace("+", " ") if sentence else code)
    raise Refused(text)
