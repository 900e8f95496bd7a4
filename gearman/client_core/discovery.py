"""Which servers a cluster has, as its servers tell, and when to ask one of them.

The time is an argument, in seconds of one clock: nothing here reads a clock.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from ..address import parse
from ..errors import ProtocolError
from .steering import LISTS, SHOW_CLUSTER

# Host and port.
Address = tuple[str, int]

QUESTION: Final = f"{SHOW_CLUSTER}\n".encode()

# Seconds in which a server has to answer, and bytes that its answer may have. There
# are about 300 bytes for each server.
PATIENCE: Final = 2.0
LONGEST_ANSWER: Final = 1 << 20

# Seconds until a server is asked again: at most, and at least, if one was lost.
_INTERVAL: Final = 60.0
_GAP: Final = 1.0


@dataclass(frozen=True, slots=True)
class Servers:
    """The addresses of a cluster's servers.

    `own` is the one of the server that answers, if it says so; `serving` are those
    that are not about to end, and `known` are all.
    """

    own: Address | None
    serving: tuple[Address, ...]
    known: frozenset[Address]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Self | None:
        """Return the servers of the rows of an answer, None if there are none.

        Rows without an address that can be connected to do not count.
        """
        own = None
        found: dict[Address, bool] = {}
        for row in rows:
            address = _address(row.get("address"))
            if row.get("kind") == "server" and address is not None:
                found[address] = not row.get("draining")
                if row.get("link") == "self":
                    own = address
        if not found:
            return None
        return cls(own, tuple(a for a in found if found[a]), frozenset(found))


def _address(text: object) -> Address | None:
    try:
        host, port, _ = parse(text if isinstance(text, str) else "")
    except ValueError:
        return None
    # Unix sockets have no port: they are no addresses of other machines.
    return None if port is None else (host, port)


class Answer:
    """The bytes of an answer to QUESTION, as they come in."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._lines: list[str] = []
        self.complete = False

    def feed(self, data: bytes) -> None:
        """Add bytes; sets `complete` at the end of the answer, or if it is none.

        A server that does not know the question answers with one line.
        """
        self._data += data
        *lines, rest = self._data.split(b"\n")
        self._data = bytearray(rest)
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            self._lines.append(text)
            self.complete = self.complete or not text.startswith("{")

    def servers(self) -> Servers | None:
        """Return the servers that were told; None if the answer has none."""
        if not self._lines or self._lines[-1] != ".":
            return None
        try:
            rows: list[Any] = [LISTS[SHOW_CLUSTER](line) for line in self._lines[:-1]]
        except ProtocolError:
            return None
        return Servers.of(rows)


@dataclass(frozen=True, slots=True)
class Change:
    """Servers that are new, and those that are not needed any more."""

    new: tuple[Address, ...] = ()
    gone: frozenset[Address] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.new or self.gone)


class Knowledge:
    """What was told about servers by those of them that were asked.

    A server may be given by another name than it tells of itself. So each server that
    was given is asked once what it is called; the others are those that were told.
    """

    def __init__(self) -> None:
        # What the given servers are called in their cluster.
        self._names: dict[Address, Address] = {}
        # Those that were not given.
        self._learned: set[Address] = set()
        # Those that have not answered, or know no cluster.
        self._mute: set[Address] = set()
        self._asked = float("-inf")
        self.due = float("-inf")

    def asked(self, now: float) -> None:
        """A server is asked now: not again before some time has passed."""
        self._asked = now
        self.due = now + _INTERVAL

    def lost(self, server: Address, now: float) -> None:
        """A connection is lost: others are asked soon, and this one may be asked."""
        self._mute.discard(server)
        self.due = min(self.due, max(now, self._asked + _GAP))

    def to_ask(self, connected: Iterable[Address]) -> list[Address]:
        """Return the servers to ask, of those that are connected, in their order.

        If one has answered, those that are named need not be asked.
        """
        asked = [each for each in connected if each not in self._mute]
        return sorted(asked, key=self.is_named)

    def is_named(self, server: Address) -> bool:
        """Whether it is known what a server is called in its cluster."""
        return server in self._names or server in self._learned

    def told(
        self, server: Address, answer: Servers | None, servers: Collection[Address]
    ) -> Change:
        """Note what a server has answered; return what changes of all `servers`.

        None is the answer of a server that has no cluster, or that is silent. It is not
        asked again before its connection is lost.
        """
        if answer is None:
            self._mute.add(server)
            return Change()
        if server not in self._learned:
            self._names[server] = answer.own or server
        names = {self._names[each] for each in servers if each in self._names}
        known = {_plain(each) for each in (*servers, *names)}
        new = tuple(each for each in answer.serving if _plain(each) not in known)
        gone = frozenset(
            each
            for each in servers
            if each in self._learned and (each not in answer.known or each in names)
        )
        self._learned.update(new)
        return Change(new, gone)

    def forget(self, server: Address) -> None:
        """A server that was learned is not used any more."""
        self._learned.discard(server)
        self._mute.discard(server)


def _plain(address: Address) -> Address:
    host, port = address
    return host.lower(), port
