"""Server-sent events of a monitor, as they come."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from tests.monitor.monitors import Browser
from tests.servers import DEADLINE, HOST


class Stream:
    """Events as they come."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    def next(self, kind: str) -> Any:
        """Return the data of the next event of a kind."""
        for line in self._lines:
            if line == b"event: %b\n" % kind.encode():
                return json.loads(next(self._lines).removeprefix(b"data: "))
        raise EOFError

    def rest(self) -> None:
        """Read until the stream ends."""
        for _ in self._lines:
            pass

    def event(self, name: str) -> Any:
        """Return the next event of a server with this name."""
        while (found := self.next("event"))["event"] != name:
            pass
        return found


@contextmanager
def stream(browser: Browser, path: str) -> Iterator[Stream]:
    connection = HTTPConnection(HOST, browser.port, timeout=DEADLINE)
    try:
        cookies = "; ".join(f"{key}={v}" for key, v in browser.cookies.items())
        connection.request("GET", path, headers={"Cookie": cookies})
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("content-type") == "text/event-stream; charset=utf-8"
        yield Stream(iter(response.readline, b""))
    finally:
        connection.close()
