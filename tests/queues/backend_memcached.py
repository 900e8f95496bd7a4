"""The plugin memcached, with a memcached of its own, and a link that can be cut."""

import os
import pwd
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from gearman.queue import load
from tests import servers

from .backend import Arguments, Backend


@contextmanager
def running(
    *options: str, port: int | None = None, evicting: bool = False
) -> Iterator[int]:
    """Run a memcached, and yield its port. It refuses items if it has no room."""
    program = servers.foreign("memcached")
    port = port or servers.free_port()
    command = [program, "-l", servers.HOST, "-p", str(port), "-m", "64"]
    if not evicting:
        command.append("-M")
    if os.geteuid() == 0:
        command += ["-u", pwd.getpwnam("nobody").pw_name]
    process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
    try:
        _wait(process, port)
        yield port
    finally:
        process.kill()
        process.wait(servers.DEADLINE)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + servers.DEADLINE
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection((servers.HOST, port), 1) as s:
            s.sendall(b"version\r\n")
            if s.recv(100).startswith(b"VERSION"):
                return
    raise AssertionError("memcached does not start")


class Link:
    """A `port` of this process that forwards to another one, unless it is cut.

    After `left` more bytes to the other port it is cut automatically.
    """

    def __init__(self, target: int, port: int) -> None:
        self.left = sys.maxsize
        self.port = port
        self._target = target
        self._stop, self._stopped = socket.socketpair()
        self._thread: threading.Thread | None = None
        self._outer: set[socket.socket] = set()
        self.restore()

    def restore(self) -> None:
        listener = socket.create_server((servers.HOST, self.port), reuse_port=False)
        self._thread = threading.Thread(target=self._run, args=[listener])
        self._thread.start()

    def cut(self) -> None:
        """Close all connections, and refuse new ones."""
        if self._thread:
            self._stop.send(b"x")
            self._thread.join(servers.DEADLINE)
            self._thread = None

    def close(self) -> None:
        self.cut()
        self._stop.close()
        self._stopped.close()

    def _run(self, listener: socket.socket) -> None:
        peers: dict[socket.socket, socket.socket] = {}
        with listener:
            while True:
                ready, _, _ = select.select([listener, self._stopped, *peers], [], [])
                if self._stopped in ready:
                    self._stopped.recv(1)
                    break
                for one in ready:
                    if one is listener:
                        self._accept(listener, peers)
                    elif one in peers:
                        self._pass_on(one, peers)
        for one in peers:
            one.close()

    def _accept(
        self, listener: socket.socket, peers: dict[socket.socket, socket.socket]
    ) -> None:
        inner, _ = listener.accept()
        outer = socket.create_connection((servers.HOST, self._target))
        peers[inner], peers[outer] = outer, inner
        self._outer.add(outer)

    def _pass_on(
        self, source: socket.socket, peers: dict[socket.socket, socket.socket]
    ) -> None:
        target = peers[source]
        data = b""
        with suppress(OSError):
            data = source.recv(1 << 20)
        over = target in self._outer and len(data) > self.left
        if over:
            data = data[: self.left]
        if target in self._outer:
            self.left -= len(data)
        with suppress(OSError):
            target.sendall(data)
        if over or not data:
            del peers[source], peers[target]
            source.close()
            target.close()


@contextmanager
def link(port: int) -> Iterator[Link]:
    with servers.kept_ports() as [own]:
        made = Link(port, own)
        try:
            yield made
        finally:
            made.close()


@contextmanager
def memcached(folder: Path) -> Iterator[Backend]:
    pytest.importorskip("pymemcache")
    prefixes = map("test-{}_".format, count())
    with (
        running("-m", "1024") as port,
        link(port) as way,
        servers.kept_ports() as [nobody],
    ):

        @contextmanager
        def outage(arguments: Arguments) -> Iterator[None]:
            way.cut()
            try:
                yield
            finally:
                way.restore()

        yield Backend(
            load("memcached"),
            lambda: {
                "servers": f"{servers.HOST}:{way.port}",
                "prefix": next(prefixes),
            },
            unreachable={"servers": f"{servers.HOST}:{nobody}"},
            outage=outage,
        )
