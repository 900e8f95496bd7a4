"""The course of a link between two servers of a cluster: no I/O.

A link is one connection, to the port of gear, over which both servers send requests and
responses. The server with the lower id opens it. Both say who they are (LINK_HELLO) and
prove that they belong to the cluster: AUTH_REQ is the proof of the server that has
opened the connection, AUTH_RES that of the other one. From then on each sends a
LINK_PING every second, and a link over which nothing comes is closed.

Packets are numbers with arguments, as a decoder of both magics gives them: RESPONSES is
added to the numbers of responses. Times are in seconds of the monotonic clock.
"""

import hmac
import re
from collections.abc import Callable, Mapping
from enum import IntEnum
from math import inf
from typing import Final, NamedTuple, Protocol, TypeAlias

from ...commands import RESPONSES, Command
from ...text import shown

Arguments: TypeAlias = tuple[bytes, ...]
Packets: TypeAlias = list[tuple[int, Arguments]]

# The version of what is said over links. Servers of different versions have no link.
VERSION: Final = b"2"

# Seconds between two pings, and the pings in a row that may stay unanswered. As long,
# all that comes before the link is up may take.
PING: Final = 1.0
MISSED: Final = 3

# Seconds until a server is dialed again after a failure: doubled each time.
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 8.0

_HELLO: Final = int(Command.LINK_HELLO)
_PROOF: Final = int(Command.AUTH_REQ)
_OTHER_PROOF: Final = Command.AUTH_RES + RESPONSES
_REFUSED: Final = Command.ERROR + RESPONSES
_PING: Final = int(Command.LINK_PING)
_PONG: Final = Command.LINK_PONG + RESPONSES

_NUMBER: Final = re.compile(rb"[0-9]{1,19}")
_NONCE: Final = re.compile(rb"[0-9a-f]{32}")


class State(IntEnum):
    """Not there; being connected; both servers have to prove who they are; in use;
    being closed.
    """

    ABSENT = 0
    DIALING = 1
    PROVING = 2
    UP = 3
    CLOSING = 4


class Event(IntEnum):
    """This server begins to connect; the connection is there, also one that the other
    server has opened; both have proved who they are; the link has to end; the
    connection is gone.
    """

    DIALED = 0
    CONNECTED = 1
    PROVED = 2
    ENDED = 3
    CLOSED = 4


# For each event, the states from which and to which it moves.
MOVES: Final = {
    Event.DIALED: {State.ABSENT: State.DIALING},
    Event.CONNECTED: {State.ABSENT: State.PROVING, State.DIALING: State.PROVING},
    Event.PROVED: {State.PROVING: State.UP},
    Event.ENDED: {State.PROVING: State.CLOSING, State.UP: State.CLOSING},
    Event.CLOSED: {
        State.DIALING: State.ABSENT,
        State.PROVING: State.ABSENT,
        State.UP: State.ABSENT,
        State.CLOSING: State.ABSENT,
    },
}


class LinkError(Exception):
    """A link must end, or cannot be; the text says why. If `told`, the other server
    is told, too.
    """

    def __init__(self, text: str, told: bool = True) -> None:
        super().__init__(text)
        self.told = told


class Identity(NamedTuple):
    """A server of the cluster, as it says in its LINK_HELLO."""

    cluster: str
    id: int
    epoch: int
    address: str


class Trust(NamedTuple):
    """How the two servers of a connection may prove that they belong to the cluster.

    If there is a `secret`, by that only. Otherwise the other one is believed if it is
    `certified`: TLS has verified its certificate; or `near`: on the same machine.
    """

    secret: bytes | None
    certified: bool
    near: bool

    @property
    def mechanism(self) -> bytes:
        """The name of the proof; empty if there is none."""
        if self.secret is not None:
            return b"link-hmac"
        if self.certified:
            return b"link-tls"
        return b"link-local" if self.near else b""


class Course:
    """The course of one link, as one of its two servers sees it.

    `me` is this server, `nonce` are 32 random hexadecimal digits. If this server dials,
    `dialed` is the id of the other one; otherwise it is 0. `has_left` says of the id
    and the epoch of a server that it is no member any more. `other` is what the other
    one has said about itself. `lag` is the time between the last ping and its answer.
    `pinged` is the number of the last ping, `answered` that of the last answered one:
    all that was sent before that has arrived.

    Methods return the packets to be sent. They raise LinkError if the link must end.
    """

    def __init__(
        self,
        me: Identity,
        nonce: bytes,
        dialed: int = 0,
        has_left: Callable[[int, int], bool] = lambda server, epoch: False,
    ) -> None:
        self.state = State.ABSENT
        self._has_left = has_left
        self.other: Identity | None = None
        self.lag = inf
        self._me = me
        self._hello: Arguments = (
            *(me.cluster.encode(), b"%d" % me.id, b"%d" % me.epoch),
            *(me.address.encode(), nonce, VERSION),
        )
        self._other_hello: Arguments = ()
        self._dialed = dialed
        self._trust = Trust(None, certified=False, near=False)
        self.pinged = self.answered = 0
        # When the last ping was sent, and how many were not answered.
        self._sent = inf
        self._missed = 0
        # When something is to be done.
        self.due = inf
        if dialed:
            self._move(Event.DIALED)

    def _move(self, event: Event) -> None:
        self.state = MOVES[event][self.state]

    def connected(self, trust: Trust, now: float) -> Packets:
        """Begin, since the connection is there."""
        self._move(Event.CONNECTED)
        self._trust = trust
        self.due = now + PING * MISSED
        if not self._dialed:
            return []
        if not trust.mechanism:
            raise LinkError(_no_mechanism(), told=False)
        return [(_HELLO, self._hello)]

    def end(self) -> None:
        """Note that the link has to end; it may have ended already."""
        if self.state in MOVES[Event.ENDED]:
            self._move(Event.ENDED)
        self.due = inf

    def closed(self) -> None:
        """Note that the connection is gone, or could not be opened."""
        self._move(Event.CLOSED)
        self.due = inf

    def tick(self, now: float, alive: bool = False) -> Packets:
        """Send a ping, if it is time for that. `due` says when to call this next.

        `alive` says that something has come since the last ping, or that nothing was
        read.
        """
        if now < self.due:
            return []
        if alive:
            self._missed = 0
        if self.state == State.PROVING:
            raise LinkError(f"no proof came within {PING * MISSED:g} seconds")
        if self._missed == MISSED:
            text = f"nothing has come from it for {PING * MISSED:g} seconds"
            raise LinkError(text, told=False)
        self.pinged += 1
        self._missed += 1
        self._sent = now
        self.due = now + PING
        return [(_PING, (b"%d" % self.pinged,))]

    def receive(self, number: int, arguments: Arguments, now: float) -> Packets | None:
        """Take a packet of the other server, None if it is for others to take."""
        if self.state == State.PROVING:
            return self._prove(number, arguments, now)
        if number == _PING:
            return [(_PONG, arguments)]
        if number == _PONG:
            return self._answered(arguments, now)
        return None

    def _answered(self, arguments: Arguments, now: float) -> Packets:
        # An answer to an earlier ping says that the other server is alive, too.
        self._missed = 0
        number = int(arguments[0]) if _NUMBER.fullmatch(arguments[0]) else 0
        self.answered = max(self.answered, min(number, self.pinged))
        if number == self.pinged:
            self.lag = now - self._sent
        return []

    # -- the proof

    def _prove(self, number: int, arguments: Arguments, now: float) -> Packets:
        if number == _REFUSED:
            raise LinkError(f"it refuses: {shown(arguments[-1])}", told=False)
        expected = _HELLO
        if self._other_hello:
            expected = _OTHER_PROOF if self._dialed else _PROOF
        if number != expected:
            raise LinkError("it sent another packet than the proof")
        if number == _HELLO:
            return self._greeted(arguments)
        if number == _PROOF:
            return self._accept(arguments, now)
        return self._check_answer(arguments, now)

    def _greeted(self, hello: Arguments) -> Packets:
        self.other = self._identity(hello)
        self._other_hello = hello
        if not self._dialed:
            if not self._trust.mechanism:
                raise LinkError(_no_mechanism())
            return [(_HELLO, self._hello)]
        return [(_PROOF, (self._trust.mechanism, self._proof(b"dialer")))]

    def _identity(self, hello: Arguments) -> Identity:
        """Return what a server says about itself, if a link to it can be."""
        cluster, server, epoch, address, nonce, version = hello
        if version != VERSION:
            theirs, ours = shown(version), shown(VERSION)
            raise LinkError(f"it speaks version {theirs} of links, not {ours}")
        if cluster != self._hello[0]:
            other, mine = shown(cluster), shown(self._hello[0])
            raise LinkError(f"it belongs to the cluster {other}, not to {mine}")
        numbers = all(map(_NUMBER.fullmatch, (server, epoch)))
        if not (numbers and _NONCE.fullmatch(nonce)):
            raise LinkError("its LINK_HELLO is wrong")
        found = Identity(
            self._me.cluster,
            *(int(server), int(epoch), address.decode(errors="replace")),
        )
        if self._dialed and found.id != self._dialed:
            raise LinkError("another server answers at its address")
        if not self._dialed and found.id >= self._me.id:
            raise LinkError("the server with the lower id opens the link")
        if self._has_left(found.id, found.epoch):
            # It was cut off, and does not know yet. What it gets would be taken back.
            raise LinkError("it has left the cluster, or others have removed it")
        return found

    def _accept(self, arguments: Arguments, now: float) -> Packets:
        mechanism, proof = arguments
        if mechanism != self._trust.mechanism:
            found = shown(mechanism) or "empty"
            needed = shown(self._trust.mechanism)
            raise LinkError(f"its proof is {found}, and {needed} is needed")
        self._check(proof, b"dialer")
        answer = (b"ok", self._proof(b"acceptor"))
        self._up(now)
        return [(_OTHER_PROOF, answer)]

    def _check_answer(self, arguments: Arguments, now: float) -> Packets:
        self._check(arguments[1], b"acceptor")
        self._up(now)
        return []

    def _up(self, now: float) -> None:
        self._move(Event.PROVED)
        self.due = now

    def _check(self, proof: bytes, role: bytes) -> None:
        if not hmac.compare_digest(proof, self._proof(role)):
            raise LinkError("its --cluster-secret-file has another secret")

    def _proof(self, role: bytes) -> bytes:
        """Return the proof of the server that dials, or of the one that accepts."""
        secret = self._trust.secret
        if secret is None:
            return b""
        hellos = (self._hello, self._other_hello)
        first, second = hellos if self._dialed else hellos[::-1]
        # No part has NUL, or it would be two.
        content = b"\0".join((role, *first, *second))
        return hmac.digest(secret, content, "sha256").hex().encode()


def _no_mechanism() -> str:
    return (
        "there is neither a secret nor a certificate, and the other server is on"
        " another machine: give all servers a --cluster-secret-file"
    )


class Member(Protocol):
    """A server of the cluster, as the store knows it."""

    @property
    def id(self) -> int: ...

    @property
    def address(self) -> str: ...


class _Contact:
    """Another server, to which this one opens the link."""

    __slots__ = ("address", "busy", "failures", "next", "said")

    def __init__(self, address: str) -> None:
        self.address = address
        # Whether there is a link, or it is being made.
        self.busy = False
        self.failures = 0
        self.next = -inf
        # What the log was told last.
        self.said = ""


class Contacts:
    """The servers to which this one opens links: those with higher ids."""

    def __init__(self, me: int) -> None:
        self._me = me
        self._contacts: dict[int, _Contact] = {}

    def update(self, members: Mapping[int, Member]) -> None:
        """Learn which servers the cluster has."""
        wanted = {id: it.address for id, it in members.items() if id > self._me}
        for gone in self._contacts.keys() - wanted.keys():
            del self._contacts[gone]
        for server, address in wanted.items():
            known = self._contacts.get(server)
            if known is None or known.address != address:
                self._contacts[server] = _Contact(address)

    def due(self, now: float) -> list[tuple[int, str]]:
        """Return the ids and addresses of the servers to be dialed now.

        Each is not returned again before `failed` was called.
        """
        found = [
            (server, contact)
            for server, contact in self._contacts.items()
            if not contact.busy and contact.next <= now
        ]
        for _, contact in found:
            contact.busy = True
        return [(server, contact.address) for server, contact in found]

    def delay(self, now: float) -> float:
        """Return in how many seconds a server is to be dialed; inf if none is."""
        times = (it.next for it in self._contacts.values() if not it.busy)
        return max(min(times, default=inf) - now, 0.0)

    def proved(self, server: int) -> None:
        """Note that the link to a server is up."""
        if contact := self._contacts.get(server):
            contact.failures = 0
            contact.said = ""

    def failed(self, server: int, now: float, reason: str) -> str:
        """Note that a link has ended, or could not be made.

        Returns the address of the other server if the reason is to be told: that is so
        once.
        """
        contact = self._contacts.get(server)
        if contact is None:
            return ""
        pause = min(FIRST_PAUSE * 2**contact.failures, LONGEST_PAUSE)
        contact.busy = False
        contact.failures = min(contact.failures + 1, 16)
        contact.next = now + pause
        known, contact.said = contact.said, reason
        return "" if reason == known else contact.address
