"""A crowd of hostile connections: ``python -m benchmarks.crowd PORT COUNT RATE``.

A third of them sends nothing, a third half a packet, a third garbage. Those of the last
third do that one after the other, RATE a second; whoever is closed connects again at
once. So there are always COUNT connections. A line on standard output says when all are
there; the end of standard input ends them, and how often one was closed is printed.
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

# Not the address of good clients: it is on this machine as well.
_ADDRESS = "127.0.0.2"

# Of Linux; Python has no name for it before 3.12.
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
    """Connections to a server on this machine, which do it no good."""

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
        """Connect one: 0 is silent, 1 sends half a packet, 2 garbage in its turn."""
        peer = socket.socket()
        # Ports of connections that were closed lately may be used again.
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
        """Go on until standard input ends."""
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
        """Take what the server sends, and connect again if that is its end."""
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
    # It stands for other machines, and must not take the server's processor.
    os.nice(19)
    crowd = Crowd(port, count, rate)
    print("all are there", flush=True)
    crowd.run()
    print(crowd.closed, flush=True)


if __name__ == "__main__":
    main()
