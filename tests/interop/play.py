"""Play a script of packets and admin lines to a server, and write down the answers.

A script has one step a line; the first word names the connection, which is opened
when it is first named:

    client SUBMIT_JOB f unique workload     a packet; '' is an empty argument
    admin: status                           an admin line
    client raw '\\0REX'                      these bytes
    worker until JOB_ASSIGN GRAB_JOB        the packet again and again, until that
                                            comes; what came before is not written down
    client last COMMAND f                   a packet, and then the end of requests
    client close                            close this connection

`<job-1>` is the handle of the first job whose handle a server told, in both
directions, so that transcripts of different servers can be compared. In steps,
`<held>` is the last job that this connection was given and has not finished, and
`<soon>` the time one or two seconds from now. `{u*64}` is a u 64 times.

Nobody sleeps: after each step an echo goes to every connection, to the one that has
made the step first. Each server answers one connection's requests in order and does
what a request causes before it turns to the next, so whatever a step sends to any
connection comes before that connection's echo.
"""

import re
import shlex
import socket
import time
from collections.abc import Iterator
from itertools import count
from typing import Self

from tests.servers import DEADLINE, Server
from tests.wire import NAMES, Packet, Peer, packet

PREFIX = "H:same"

_HANDLE = re.compile(rb"H:same:\d+")
_ASSIGNED = ("JOB_ASSIGN", "JOB_ASSIGN_UNIQ", "JOB_ASSIGN_ALL")
_FINAL = ("WORK_COMPLETE", "WORK_FAIL", "WORK_EXCEPTION")

Item = Packet | bytes


class Connection:
    """One connection of a play, and what is known of it from outside."""

    def __init__(self, server: Server) -> None:
        self.peer = Peer(server.port)
        self.closed = False
        self.held: list[bytes] = []

    def fence(self, mark: bytes) -> list[Item]:
        """Return what has come until the answer to an echo, or until the end."""
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
        """Keep book of the jobs that this connection is given."""
        for item in items:
            if isinstance(item, Packet) and item.name in _ASSIGNED:
                self.held.append(item.arguments[0])


class Play:
    """A play on one server; it must be left to close the connections."""

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
        """Play one step; a connection that the server has closed takes no more."""
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
        deadline = time.monotonic() + DEADLINE
        received = connection.peer.request(command, *words)
        while received.name != wanted:
            assert time.monotonic() < deadline, f"{wanted} did not come"
            received = connection.peer.request(command, *words)
        connection.notice([received])

    def _close(self, name: str) -> None:
        """Close a connection and wait until the server knows."""
        self.connections.pop(name).peer.close()
        deadline = time.monotonic() + DEADLINE
        left = 1 + sum(not c.closed for c in self.connections.values())
        while len(self._monitor.peer.ask_list(b"workers")) != left:
            assert time.monotonic() < deadline, "the server does not notice"

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
        """Return the bytes that a word of the script stands for."""
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
        """Write items as text in which nothing depends on the server's numbering."""
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
    """Yield what is whole in a stream that has ended."""
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
    """Whether the lines are the beginning of a list, which ends with a full stop."""
    last = lines[-1]
    return last != ".\\n" and not last.startswith(("OK", "ERR"))


def run(server: Server, script: str) -> list[str]:
    """Play a script to a server and return the transcript."""
    with Play(server) as play:
        return play.run(script)


assert set(_ASSIGNED + _FINAL) <= set(NAMES)
