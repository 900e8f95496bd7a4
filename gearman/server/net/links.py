"""The links of a server to the others of its cluster: opened, watched, closed.

What is to be done, and when, say `Course` and `Contacts`; this is their input and
output. A link uses the same kinds of connections as every other peer.
"""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final

from ...address import parse
from ...blocking.sockets import is_own_peer
from ...commands import Command
from ...text import shown
from ..broker import Peer
from ..cluster.links import (
    MISSED,
    PING,
    Contacts,
    Course,
    Identity,
    Member,
    Trust,
)
from ..connections.connection import Connection
from ..connections.peers import Address
from ..networks import LOOPBACK, contains
from ..protocols.gear import Gear
from ..protocols.links.link import Link, Verb
from ..settings.levels import NOTICE
from ..watch.limited_log import LimitedLog
from .connection_factory import ConnectionFactory

# How many hosts are remembered that were refused, so that the log says so once.
MANY_HOSTS: Final = 100

# Seconds between two looks at all links at least, however many peers say hello.
GRAIN: Final = 0.01

log = logging.getLogger("gearman.server")


@dataclass(frozen=True, slots=True)
class Site:
    """The parts of a running server that links need.

    `begin_turn` is to be called before anything is done to the broker or its peers, and
    `interrupt` after the event loop was given something to do.
    """

    gear: Gear
    factory: ConnectionFactory
    begin_turn: Callable[[], None]
    interrupt: Callable[[], None]


class Links:
    """The links of this server, which is `me`.

    `members` returns the servers of the cluster, and `has_left` says of the id and the
    epoch of one that it is none any more. Links are proved by the `secret`, if there is
    one. `use` is called with each link that is up, and returns the verbs of its
    packets. A link to a server that is no member is closed when it is `lease` seconds
    old: before, a new server may not be known here.
    """

    def __init__(
        self,
        me: Identity,
        members: Callable[[], Mapping[int, Member]],
        secret: bytes | None,
        lease: float,
        use: Callable[[Link], Mapping[int, Verb]],
        has_left: Callable[[int, int], bool],
    ) -> None:
        self.me = me
        self._has_left = has_left
        self._members = members
        self._secret = secret
        self._lease = lease
        self._use = use
        self._contacts = Contacts(me.id)
        # Links that are up, by the ids of the other servers, each with its time; and
        # all connections that are links, or are to become some.
        self.up: dict[int, tuple[Link, float]] = {}
        self._all: set[Link] = set()
        self._refused: dict[str, str] = {}
        self._lines = LimitedLog()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def start(self, site: Site) -> None:
        """Accept links from now on, and open those that this server has to open."""
        self._site = site
        self._loop = asyncio.get_running_loop()
        site.gear.greet = self._greeted
        self._tick()

    def close(self) -> None:
        """Open and watch no more links. Their connections are left to the server."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()

    def changed(self) -> None:
        """Look at the members, if this has started, since they may have changed."""
        if self._timer is not None:
            self._soon(self._tick)

    def begin_turn(self) -> None:
        """Begin a turn, before anything is done to the broker; this has started."""
        self._site.begin_turn()

    def part(self, server: int) -> None:
        """End the link to a server that has left the cluster, if there is one."""
        if server in self.up:
            self.begin_turn()
            self.up[server][0].end("the other server has left the cluster")

    # -- time

    def time(self) -> float:
        return self._loop.time()

    def _tick(self) -> None:
        if self._closed:
            return
        self._site.begin_turn()
        now = self.time()
        members = self._members()
        self._contacts.update(members)
        for server, (_, since) in list(self.up.items()):
            if server not in members and now - since > self._lease:
                self.part(server)
        for link in list(self._all):
            link.tick()
        for server, address in self._contacts.due(now):
            task = self._loop.create_task(self._dial(server, address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._set_timer()

    def _set_timer(self) -> None:
        """Have `_tick` called when something is due, at the latest after a second."""
        if self._timer is not None:
            self._timer.cancel()
        if self._closed:
            return
        now = self.time()
        due = min((link.course.due for link in self._all), default=inf) - now
        delay = max(min(due, self._contacts.delay(now), PING), GRAIN)
        self._timer = self._loop.call_later(delay, self._tick)
        self._site.interrupt()

    def _soon(self, action: Callable[[], None]) -> None:
        self._loop.call_soon(action)
        self._site.interrupt()

    # -- connections

    async def _dial(self, server: int, address: str) -> None:
        """Open a connection to a server that is to become a link."""
        course = Course(self.me, _nonce(), server, self._has_left)

        def lost(reason: str) -> None:
            course.closed()
            self._failed(server, reason)

        def begun(connection: Connection) -> None:
            self._begin(Link(course, connection.peer, self, server))

        try:
            async with asyncio.timeout(PING * MISSED):
                sock, where = await _connect(self._loop, address)
        except TimeoutError:
            lost("it was not connected in time")
        except OSError as error:
            lost(os.strerror(error.errno) if error.errno else str(error))
        else:
            self._site.begin_turn()
            self._site.factory.dial(self._site.gear, sock, where, begun, lost)

    def _greeted(self, peer: Peer, *hello: bytes) -> None:
        """Take the first packet of a server that has opened a connection."""
        if not _is_new(peer):
            text = b"LINK_HELLO has to be the first packet"
            return peer.refuse(b"INVALID_COMMAND", text)
        course = Course(self.me, _nonce(), 0, self._has_left)
        link = Link(course, peer, self, 0)
        self._begin(link)
        return link.dispatch(peer, (Command.LINK_HELLO, hello))

    def _begin(self, link: Link) -> None:
        """Make a connection a link, if both servers prove who they are."""
        connection: Connection = link.peer.connection
        connection.lost = partial(self._lost, link)
        self._all.add(link)
        near = contains(LOOPBACK, link.peer.address)
        # It is due later than the next tick.
        link.begin(Trust(self._secret, connection.certified, near))

    def proved(self, link: Link) -> Mapping[int, Verb]:
        """Use a link that is up."""
        assert link.other is not None  # noqa: S101
        if (earlier := self.up.get(link.id)) is not None:
            earlier[0].end("there is a new link")
        self.up[link.id] = link, self.time()
        self._contacts.proved(link.id)
        self._refused.pop(link.peer.address, None)
        log.log(NOTICE, "the link to %s is up", link.other.address)
        self._soon(self._tick)
        return self._use(link)

    def end(self, link: Link) -> None:
        """Close the connection of a link, after its output was sent."""
        # Not now: a packet of it may be carried out.
        self._soon(partial(_close, link.peer.connection))

    def _lost(self, link: Link, reason: str) -> None:
        """Note that a connection is closed, which is a link, or should become one."""
        self._all.remove(link)
        link.course.closed()
        reason = link.reason or reason
        address = "" if link.other is None else link.other.address
        if self.up.get(link.id, (None,))[0] is link:
            del self.up[link.id]
            log.warning("the link to %s is lost: %s", address, reason)
            self._contacts.failed(link.dialed, self.time(), reason)
            self._set_timer()
        elif link.dialed:
            self._failed(link.dialed, reason)
        elif not link.proved:
            self._refuse(link.peer.address, address, reason)

    def _failed(self, server: int, reason: str) -> None:
        """Note that a server could not be dialed, or has not become a link."""
        if address := self._contacts.failed(server, self.time(), reason):
            log.warning("no link to %s: %s", address, reason)
        self._set_timer()

    def _refuse(self, host: str, address: str, reason: str) -> None:
        """Tell, once, that another server was refused; seldom, if there are many."""
        if self._refused.get(host) != reason:
            if len(self._refused) >= MANY_HOSTS:
                self._refused.clear()
            self._refused[host] = reason
            # The address is what the other side says, whoever that is.
            text = f"no link from {host} ({shown(address.encode()) or '?'}): {reason}"
            if line := self._lines.line("refused", text, self.time()):
                log.warning("%s", line)


def _nonce() -> bytes:
    return secrets.token_hex(16).encode()


def _is_new(peer: Peer) -> bool:
    """Whether a peer has sent nothing that would be left over from before."""
    used = peer.functions, peer.jobs, peer.waiting, peer.receipts, peer.extensions
    return not any(used) and peer.client_id == b"-"


def _close(connection: Connection | None) -> None:
    """Close a connection once all data was sent, unless it is closed."""
    if connection is not None and not connection.closing:
        connection.flush()
        if not connection.closing:
            connection.end(None)


async def _connect(
    loop: asyncio.AbstractEventLoop, address: str
) -> tuple[socket.socket, Address]:
    """Return a connected socket, and the address of its peer. Raises OSError."""
    host, port, _ = parse(address)
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = ConnectionRefusedError("nobody listens there")
    for family, kind, protocol, _, where in found:
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, where)
            if not is_own_peer(sock):
                return sock, where
        except OSError as error:
            failure = error
        except BaseException:
            sock.close()
            raise
        sock.close()
    raise failure
