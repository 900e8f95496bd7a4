"""A connection to another server of the cluster: it becomes a link, and then is one."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias

from ....commands import REQUEST, RESPONSES, Command
from ....errors import ProtocolError
from ....framing import MAX_BODY, Packet, encode
from ...broker import Peer
from ...cluster.links import (
    Arguments,
    Course,
    Identity,
    LinkError,
    Packets,
    State,
    Trust,
)

# It is called with the arguments of a packet.
Verb: TypeAlias = Callable[..., None]

# Bytes of a packet as long as the other server has proved nothing.
_SMALL: Final = 4096


class Owner(Protocol):
    """A server, as far as its links need it."""

    def time(self) -> float:
        """Return the time of the monotonic clock, in seconds."""

    def proved(self, link: "Link") -> Mapping[int, Verb]:
        """Use a link that is up, and return what is done for its packets.

        That is found by their numbers; RESPONSES is added to those of responses.
        """

    def end(self, link: "Link") -> None:
        """Close the connection of a link, after its output was sent.

        It may be called while a packet is carried out.
        """


class Link:
    """A link, or a connection that is to become one.

    If this server has opened it, `dialed` is the id of the other one, otherwise 0.
    `proved` says that it is, or was, a link. If this server has ended it, `reason` says
    why.
    """

    def __init__(self, course: Course, peer: Peer, owner: Owner, dialed: int) -> None:
        self.course = course
        self.peer = peer
        self.dialed = dialed
        self.proved = False
        self.reason = ""
        self._owner = owner
        self._verbs: Mapping[int, Verb] = {}
        # Whether a packet has come since the last ping; and how many bytes of an
        # incomplete one there were then.
        self._heard = False
        self._buffered = 0

    @property
    def other(self) -> Identity | None:
        """What the other server has said about itself."""
        return self.course.other

    @property
    def id(self) -> int:
        """The id of the other server, 0 as long as that is unknown."""
        return 0 if self.other is None else self.other.id

    def request(self, command: int, arguments: Arguments) -> None:
        """Send a request to the other server."""
        self.peer.write(encode(command, arguments, REQUEST))

    def respond(self, command: int, arguments: Arguments) -> None:
        """Send a response."""
        self.peer.send(command, arguments)

    def begin(self, trust: Trust) -> None:
        """Take the packets of the connection from now on, and say who this is."""
        self.peer.connection.be_link(self.dispatch, _SMALL)
        self._go_on(lambda now: self.course.connected(trust, now))

    def tick(self) -> None:
        """Send a ping, or end the link, if it is time for that."""
        if self._owner.time() >= self.course.due:
            alive = self._is_alive()
            self._go_on(lambda now: self.course.tick(now, alive))

    def _is_alive(self) -> bool:
        """Whether something has come since the last call, or was not to be read."""
        connection = self.peer.connection
        before, self._buffered = self._buffered, connection.protocol.buffered
        # Both are to be asked.
        directly = connection.heard()
        heard, self._heard = self._heard or directly, False
        held = bool(connection.pressure.held_by)
        return heard or held or self._buffered != before

    def dispatch(self, peer: Peer, packet: Packet) -> None:
        """Carry out a packet. Raises ProtocolError if nothing more can be read."""
        number, arguments = packet
        self._heard = True
        if isinstance(arguments, ProtocolError):
            if arguments.fatal:
                raise arguments
            self.fail(LinkError(arguments.text))
        elif (verb := self._verbs.get(number)) is not None:
            try:
                verb(*arguments)
            except (ValueError, OverflowError) as error:
                name = Command(number % RESPONSES).name
                self.fail(LinkError(f"its {name} is wrong: {error}"))
        elif self.course.state in (State.PROVING, State.UP):
            self._go_on(lambda now: self._receive(number, arguments, now))

    def _receive(self, number: int, arguments: Arguments, now: float) -> Packets:
        found = self.course.receive(number, arguments, now)
        if found is None:
            raise LinkError(
                f"it sent packet {number % RESPONSES}, which is not for links"
            )
        return found

    def _go_on(self, step: Callable[[float], Packets]) -> None:
        """Take a step of the course, and send what follows from it."""
        before = self.course.state
        try:
            packets = step(self._owner.time())
        except LinkError as error:
            self.fail(error)
            return
        for number, arguments in packets:
            if number >= RESPONSES:
                self.respond(number - RESPONSES, arguments)
            else:
                self.request(number, arguments)
        if before != State.UP and self.course.state == State.UP:
            self.peer.connection.be_link(self.dispatch, MAX_BODY)
            self.proved = True
            self._verbs = self._owner.proved(self)

    def fail(self, error: LinkError) -> None:
        """End the link, and tell the other server why."""
        if error.told:
            self.respond(Command.ERROR, (b"LINK_REFUSED", str(error).encode()))
        self.end(str(error))

    def end(self, reason: str) -> None:
        """End the link. No more packets are carried out."""
        self._verbs = {}
        if self.peer.connection is not None:
            self.peer.connection.carry(None, None)
        if self.course.state != State.CLOSING:
            self.reason = reason
            self.course.end()
            self._owner.end(self)
