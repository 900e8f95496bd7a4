"""A crowd of hostile connections: ``python -m benchmarks.crowd PORT COUNT RATE``.

A third of them sends nothing, a third half a packet, a third garbage. Those of the last
third send it one after the other, RATE a second. A closed connection is opened again
immediately, so there are always COUNT connections. A line on standard output says that
all are connected. At the end of standard input, it prints how often one was closed.
"""

import os
import selectors
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from itertools import cycle

from benchmarks.servers import HOST

# Another address of this machine than that of the good clients.
_ADDRESS = "127.0.0.2"

# A constant of Linux, which Python has since 3.12.
_BIND_ADDRESS_NO_PORT = 24

_HALF = b"\0REQ\0\0\0\7\0\1\0\0" + b"f\0u\0" + b"x" * 1000
_GARBAGE = (
    b"\0REX\0\0\0\7\0\0\0\0",
    b"\0REQ\0\0\0\x2b\0\0\0\0",
    b"\0REQ\0\0\0\7\xff\xff\xff\xff",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\0\1\0\1\xfc\x03\x03",
    b"x" * 10_000,
)


class Crowd:
    """Hostile connections to a server on this machine."""

    def __init__(self, port: int, count: int, rate: float) -> None:
        self._port = port
        self._pause = 1 / rate
        self._selector = selectors.DefaultSelector()
        self._armed: deque[socket.socket] = deque()
        self._garbage = cycle(_GARBAGE)
        self.closed = 0
        for number in range(count):
            self._connect(number % 3)

    def _connect(self, kind: int) -> None:
        """Open a connection: silent (0), with half a packet (1) or garbage (2)."""
        peer = socket.socket()
        # Allows ports of recently closed connections to be used again.
        peer.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        peer.bind((_ADDRESS, 0))
        peer.connect((HOST, self._port))
        if kind == 1:
            peer.send(_HALF)
        elif kind == 2:
            self._armed.append(peer)
        peer.setblocking(False)
        self._selector.register(peer, selectors.EVENT_READ, kind)

    def run(self) -> None:
        """Run until standard input ends."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        due = time.monotonic()
        while True:
            found = self._selector.select(max(due - time.monotonic(), 0))
            for key, _ in found:
                if key.fileobj is sys.stdin:
                    return
                self._read(key.fileobj, key.data)
            if time.monotonic() >= due:
                due += self._pause
                self._send()

    def _read(self, peer: object, kind: int) -> None:
        """Read from a connection, and open it again if the server has closed it."""
        assert isinstance(peer, socket.socket)
        with suppress(OSError):
            if peer.recv(65536):
                return
        self._selector.unregister(peer)
        if kind == 2:
            with suppress(ValueError):
                self._armed.remove(peer)
        peer.close()
        self.closed += 1
        self._connect(kind)

    def _send(self) -> None:
        if self._armed:
            with suppress(OSError):
                self._armed.popleft().send(next(self._garbage))


def main() -> None:
    port, count, rate = map(int, sys.argv[1:])
    # It represents other machines, and must not use the server's processor.
    os.nice(19)
    crowd = Crowd(port, count, rate)
    print("all are there", flush=True)
    crowd.run()
    print(crowd.closed, flush=True)


if __name__ == "__main__":
    main()
