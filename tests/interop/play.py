"""Send a script of packets and admin lines to a server, and write down the answers.

Each line of a script is a step. The first word names the connection, which is opened
at its first use:

    client SUBMIT_JOB f unique workload     a packet; '' is an empty argument
    admin: status                           an admin line
    client raw '\\0REX'                      these bytes
    worker until JOB_ASSIGN GRAB_JOB        the packet again and again, until the answer
                                            is this one; others are not written down
    client last COMMAND f                   a packet, and then the end of requests
    client close                            close this connection

In steps and transcripts, `<job-1>` is the first handle that the server has sent, so
that transcripts of different servers can be compared. In steps, `<held>` is the last
job that this connection was assigned and has not finished, and `<soon>` is the time in
one or two seconds. `{u*64}` is 64 times u.

There is no sleeping: after each step an echo is sent by every connection, first by that
of the step. A server answers the requests of a connection in order, and completes a
request before the next one. So all data that a step sends to any connection arrives
before the echo of that connection.
"""

import re
import shlex
import socket
import time
from collections.abc import Iterator
from itertools import count
from typing import Self

from tests.servers import Server, until
from tests.wire import NAMES, Packet, Peer, packet

PREFIX = "H:same"

_HANDLE = re.compile(rb"H:same:\d+")
_ASSIGNED = ("JOB_ASSIGN", "JOB_ASSIGN_UNIQ", "JOB_ASSIGN_ALL")
_FINAL = ("WORK_COMPLETE", "WORK_FAIL", "WORK_EXCEPTION")

Item = Packet | bytes


class Connection:
    """One connection of a play, and its jobs."""

    def __init__(self, server: Server) -> None:
        self.peer = Peer(server.port)
        self.closed = False
        self.held: list[bytes] = []

    def fence(self, mark: bytes) -> list[Item]:
        """Return the items before the answer to an echo, or before the end."""
        items: list[Item] = []
        end = Packet("ECHO_RES", mark)
        try:
            self.peer.send("ECHO_REQ", mark)
            items += iter(self.peer.receive_any, end)
        except (EOFError, ConnectionError):
            self.closed = True
            items += _complete(self.peer)
        return items

    def notice(self, items: list[Item]) -> None:
        """Record the jobs that this connection is assigned."""
        for item in items:
            if isinstance(item, Packet) and item.name in _ASSIGNED:
                self.held.append(item.arguments[0])


class Play:
    """A play on one server; leaving the context closes the connections."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.transcript: list[str] = []
        self.handles: list[bytes] = []
        self.connections: dict[str, Connection] = {}
        self._marks = count()
        self._monitor = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in (*self.connections.values(), self._monitor):
            connection.peer.close()

    def run(self, script: str) -> list[str]:
        """Play all steps and return the transcript."""
        for line in script.strip().splitlines():
            if line.strip():
                self.step(line.strip())
        return self.transcript

    def step(self, line: str) -> None:
        """Play one step; it is skipped if the server has closed the connection."""
        name, _, rest = line.partition(" ")
        text, name = name.endswith(":"), name.removesuffix(":")
        if name not in self.connections:
            self.connections[name] = self._open()
        connection = self.connections[name]
        self.transcript.append(f"{name}{':' if text else ''} {rest}")
        if connection.closed:
            return
        if rest == "close" and not text:
            self._close(name)
        elif text:
            self._send(name, self._fill(rest, connection) + b"\r\n")
        else:
            self._binary(name, [self._fill(w, connection) for w in shlex.split(rest)])
        self._collect(name)

    def _binary(self, name: str, words: list[bytes]) -> None:
        connection = self.connections[name]
        if words[0] == b"raw":
            self._send(name, words[1])
        elif words[0] == b"last":
            self._send(name, packet(words[1].decode(), *words[2:]))
            connection.peer.socket.shutdown(socket.SHUT_WR)
        elif words[0] == b"until":
            self._repeat(connection, words[1].decode(), words[2].decode(), words[3:])
        else:
            command = words[0].decode()
            self._send(name, packet(command, *words[1:]))
            if command in _FINAL and words[1] in connection.held:
                connection.held.remove(words[1])

    def _send(self, name: str, data: bytes) -> None:
        try:
            self.connections[name].peer.send_bytes(data)
        except ConnectionError:
            self.connections[name].closed = True

    def _repeat(
        self, connection: Connection, wanted: str, command: str, words: list[bytes]
    ) -> None:
        def received() -> Packet | None:
            answer = connection.peer.request(command, *words)
            return answer if answer.name == wanted else None

        answer = until(received)
        assert answer is not None
        connection.notice([answer])

    def _close(self, name: str) -> None:
        """Close a connection, and wait until the server has noticed it."""
        self.connections.pop(name).peer.close()
        left = 1 + sum(not c.closed for c in self.connections.values())
        until(lambda: len(self._monitor.peer.ask_list(b"workers")) == left)

    def _collect(self, first: str) -> None:
        for name in sorted(self.connections, key=lambda name: (name != first, name)):
            connection = self.connections[name]
            if not connection.closed:
                items = connection.fence(b"fence %d" % next(self._marks))
                connection.notice(items)
                for answer in self._written(items):
                    self.transcript.append(f"    {name} < {answer}")
                if connection.closed:
                    self.transcript.append(f"    {name} < (closed)")

    def _open(self) -> Connection:
        connection = Connection(self.server)
        assert connection.fence(b"open") == []
        return connection

    def _fill(self, word: str, connection: Connection) -> bytes:
        """Return the bytes for a word of the script."""
        word = re.sub(r"\{(.)\*(\d+)\}", lambda m: m[1] * int(m[2]), word)
        data = word.encode("latin-1").decode("unicode_escape").encode("latin-1")
        held = connection.held[-1] if connection.held else b"H:same:0"
        data = data.replace(b"<held>", held)
        data = data.replace(b"<soon>", b"%d" % (time.time() + 2))
        return re.sub(rb"<job-(\d+)>", self._handle, data)

    def _handle(self, found: re.Match[bytes]) -> bytes:
        number = int(found[1])
        return self.handles[number - 1] if number <= len(self.handles) else b"H:same:0"

    def _written(self, items: list[Item]) -> Iterator[str]:
        """Return items as text that does not depend on the server's numbers."""
        lines: list[str] = []
        for item in items:
            if isinstance(item, Packet):
                yield " ".join([item.name, *map(self._show, item.arguments)])
                continue
            lines.append(_anonymous(self._show(item).strip("'")))
            if not _in_list(lines):
                yield from sorted(lines)
                lines.clear()
        yield from sorted(lines)

    def _show(self, data: bytes) -> str:
        named = _HANDLE.sub(self._number, data).decode("latin-1")
        shown = named.encode("unicode_escape").decode()
        shown = re.sub(r"(.)\1{19,}", lambda m: f"{{{m[1]}*{len(m[0])}}}", shown)
        return f"'{shown}'" if not shown or " " in shown else shown

    def _number(self, found: re.Match[bytes]) -> bytes:
        if found[0] == b"H:same:0":
            return found[0]
        if found[0] not in self.handles:
            self.handles.append(found[0])
        return b"<job-%d>" % (self.handles.index(found[0]) + 1)


def _complete(peer: Peer) -> Iterator[Item]:
    """Yield the complete packets of a stream that has ended."""
    try:
        while True:
            yield peer.receive_any()
    except (EOFError, ConnectionError):
        return


def _anonymous(line: str) -> str:
    line = re.sub(r"^OK [0-9]+\\n$", "OK (process)\\\\n", line)
    line = re.sub(r"^OK v?[0-9]+\.[^ ]*\\n$", "OK (version)\\\\n", line)
    return re.sub(r"^[0-9]+ 127.0.0.1 ", "(descriptor) 127.0.0.1 ", line)


def _in_list(lines: list[str]) -> bool:
    """Whether the lines are the beginning of a list, which ends with the line `.`."""
    last = lines[-1]
    return last != ".\\n" and not last.startswith(("OK", "ERR"))


def run(server: Server, script: str) -> list[str]:
    """Play a script to a server and return the transcript."""
    with Play(server) as play:
        return play.run(script)


assert set(_ASSIGNED + _FINAL) <= set(NAMES.values())
