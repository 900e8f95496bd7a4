"""HTTP as bytes: a connection without sockets, and parsed answers."""

from collections.abc import Iterable
from http.client import HTTPResponse
from io import BytesIO
from typing import Any, NamedTuple

from gearman.server.protocols.http.connection import HttpProtocol
from gearman.server.protocols.http.origin import Origins
from gearman.server.protocols.http.routes import Routes
from tests.server.conftest import Server


class Answer(NamedTuple):
    """An answer; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Socket(NamedTuple):
    stream: BytesIO

    def makefile(self, mode: str) -> BytesIO:
        return self.stream


def answers(data: bytes, method: str = "GET") -> list[Answer]:
    """Parse the answers to requests of one method."""
    stream = BytesIO(data)
    found = []
    while stream.tell() < len(data):
        socket: Any = _Socket(stream)
        response = HTTPResponse(socket, method=method)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        # Without this, the response would close its stream at the end of an answer.
        response.fp = _Open(stream)  # type: ignore[assignment]
        found.append(Answer(response.status, headers, response.read()))
    return found


class _Open(BytesIO):
    """A stream that is not closed."""

    def __init__(self, stream: BytesIO) -> None:
        super().__init__()
        self._stream = stream

    def read(self, size: int | None = -1) -> bytes:
        return self._stream.read(size)

    def readline(self, size: int | None = -1) -> bytes:
        return self._stream.readline(size)

    def close(self) -> None:
        pass


class Web:
    """A client of the protocol http; tests move the server's clock."""

    def __init__(
        self,
        server: Server,
        timeout: float = 0,
        address: str = "127.0.0.1",
        get: str = "known",
        hosts: Iterable[str] = (),
        traced: bool = True,
    ) -> None:
        self.server = server
        self.trace: list[str] = []
        routes = Routes(server.site, timeout, get, Origins(hosts))
        self.protocol = HttpProtocol(
            routes, address, 7, self.trace.append if traced else None
        )
        server.broker.connect(self.protocol.peer)

    def send(self, data: bytes, piece: int = 0) -> bytes:
        """Send bytes, in pieces of a size if one is given, and return the answers."""
        piece = piece or len(data)
        came = b""
        for start in range(0, len(data), piece):
            self.protocol.receive(data[start : start + piece])
            came += self.came()
        return came

    def came(self) -> bytes:
        """Return the data that was sent since, in any number of turns."""
        came = self.protocol.data_to_send()
        while self.protocol.ready:
            self.protocol.resume()
            came += self.protocol.data_to_send()
        return came

    def ask(self, data: bytes) -> Answer:
        """Send a request, and return its immediate answer."""
        (answer,) = answers(self.send(data), data.split()[0].decode())
        return answer

    def answer(self, method: str = "GET") -> Answer:
        """Return the only answer that was sent."""
        (answer,) = answers(self.came(), method)
        return answer

    def leave(self) -> None:
        self.server.broker.disconnect(self.protocol.peer)

    def after(self, seconds: float) -> None:
        """Move the clock, and call `expire` if the deadline has passed."""
        self.server.after(seconds)
        if self.protocol.deadline <= self.server.now:
            self.protocol.expire()


def request(method: str, path: str, body: bytes = b"", **headers: Any) -> bytes:
    """Return a request of HTTP/1.1; an underscore in a header's name is a dash."""
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [] if "Host" in headers else ["Host: here"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
