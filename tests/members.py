"""Small servers of a cluster: they tell of each other, and end each job at once."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Thread
from typing import Any

from tests.servers import HOST
from tests.wire import NAMES, RESPONSE, packet


class Member:
    """A server whose jobs have its address as their result.

    `tells` are the addresses that it answers with, its `own` one among them; with None
    it knows no clusters, and while it is `silent` it does not answer that.
    """

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server((HOST, port))
        self.port: int = self._listener.getsockname()[1]
        self.address = f"{HOST}:{self.port}"
        self.own = self.address
        self.tells: list[str] | None = None
        self.silent = False
        self.questions = 0
        self.names: list[str] = []
        self._lock = Lock()
        self._closed = False
        self._peers: set[socket.socket] = set()
        Thread(target=self._accept, daemon=True).start()

    @property
    def peers(self) -> int:
        """How many connections are open."""
        with self._lock:
            return len(self._peers)

    def close(self) -> None:
        """End, as if it was killed."""
        # A thread that accepts does not notice a close alone.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._closed = True
            for peer in self._peers:
                with suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closed:
                    peer.close()
                    return
                self._peers.add(peer)
            Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError), peer, peer.makefile("rb") as file:
            while first := file.read(1):
                if first != b"\0":
                    self._answer(peer, first + file.readline())
                    continue
                header = file.read(11)
                length = int.from_bytes(header[7:], "big")
                number = int.from_bytes(header[3:7], "big")
                self._act(peer, NAMES[number], file.read(length))
        with self._lock:
            self._peers.discard(peer)

    def _answer(self, peer: socket.socket, line: bytes) -> None:
        assert line.strip() == b"show cluster"
        self.questions += 1
        if self.silent:
            return
        if self.tells is None:
            peer.sendall(b"ERR unknown_command Unknown+server+command\r\n")
            return
        rows: list[dict[str, Any]] = [{"kind": "cluster", "name": "fleet"}]
        for address in self.tells:
            link = "self" if address == self.own else "up"
            rows.append({"kind": "server", "address": address, "link": link})
        lines = [json.dumps(row).encode() for row in rows]
        peer.sendall(b"\n".join([*lines, b".\n"]))

    def _act(self, peer: socket.socket, name: str, body: bytes) -> None:
        self.names.append(name)
        if name == "OPTION_REQ":
            peer.sendall(packet("OPTION_RES", body, magic=RESPONSE))
        if name.startswith("SUBMIT_JOB"):
            handle = b"H:%d" % self.port
            answer = packet("JOB_CREATED", handle, magic=RESPONSE)
            # Jobs with options are background jobs.
            if not name.endswith(("_BG", "_WITH")):
                result = self.address.encode()
                answer += packet("WORK_COMPLETE", handle, result, magic=RESPONSE)
            peer.sendall(answer)


@contextmanager
def members(count: int) -> Iterator[list[Member]]:
    """Run servers that tell of each other."""
    running = [Member() for _ in range(count)]
    for each in running:
        each.tells = [member.address for member in running]
    try:
        yield running
    finally:
        for each in running:
            each.close()
