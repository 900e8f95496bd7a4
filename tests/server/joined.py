"""Servers of a cluster without sockets and clocks, joined by links in memory.

Clients and workers send and get packets, and so do the links: all of it are bytes.
"""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from gearman import _framing
from gearman.commands import BOTH
from gearman.errors import ProtocolError
from gearman.server.broker import Job, Links, Peer
from gearman.server.cluster.home import SHARDS, home_of
from gearman.server.protocols.links.verbs import verbs
from tests.server.conftest import Server, Wire

LEASE = 10.0


class End:
    """One end of a link."""

    def __init__(self, server: "Member", other: int) -> None:
        self.server = server
        self.peer = Peer("10.0.0.1", 99)
        server.broker.connect(self.peer)
        self.pings = SimpleNamespace(pinged=0, answered=0)
        self.remote = server.links.up(self.peer, other, self.pings)
        self._verbs = verbs(server.links, self.remote)
        self._decoder = _framing.Decoder(BOTH)

    def sent(self) -> bytes:
        """End a turn, and return all that this end has to send."""
        self.server.links.end_turn()
        data = b"".join(self.peer.outbox)
        self.peer.outbox.clear()
        self.peer.size = 0
        return data

    def receive(self, data: bytes) -> None:
        for number, arguments in self._decoder.feed(data):
            assert not isinstance(arguments, ProtocolError), arguments
            self.server.packets += 1
            self._verbs[number](*arguments)


class Member(Server):
    """A server of a cluster; its number is from 1 on."""

    def __init__(self, number: int, **options: Any) -> None:
        super().__init__(**options)
        self.number = number
        self.packets = 0
        self.links = Links(self.broker, LEASE)

    def new_job(self) -> Job:
        """Return the job to be stored."""
        (job,) = self.broker.jobs.changes
        assert isinstance(job, Job)
        return job


class Joined:
    """Servers, and the links between them.

    They own the shards in turn: server 1 owns the shards 0, n, 2n and so on.
    """

    def __init__(self, count: int = 2, **options: Any) -> None:
        self.members = [Member(number + 1, **options) for number in range(count)]
        self._links: dict[tuple[int, int], tuple[End, End]] = {}
        self.owners = [shard % count + 1 for shard in range(SHARDS)]
        self.own(self.owners)
        for first in self.members:
            for second in self.members:
                if first.number < second.number:
                    self.join(first.number, second.number)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def own(self, owners: Sequence[int]) -> None:
        """Have the servers own shards, by the number of the owner."""
        for member in self.members:
            member.links.own(owners)
            mine = {shard for shard, o in enumerate(owners) if o == member.number}
            member.broker.stored.own(frozenset(mine))

    def member(self, number: int) -> Member:
        return self.members[number - 1]

    def join(self, first: int, second: int) -> None:
        """Link two servers, and pass on what they say then."""
        if (first, second) not in self._links:
            one = End(self.member(first), second)
            other = End(self.member(second), first)
            self._links[first, second] = one, other
            self.run()

    def is_whole(self) -> bool:
        """Whether all servers are linked."""
        count = len(self.members)
        return len(self._links) == count * (count - 1) // 2

    def cut(self, first: int, second: int) -> None:
        """Break the link of two servers, and lose what is under way."""
        ends = self._links.pop((first, second), ())
        for end in ends:
            end.server.broker.disconnect(end.peer)

    def pass_on(self, first: int, second: int) -> None:
        """Pass on what one server has to send to another one with a higher number."""
        end, other = self._links[first, second]
        other.receive(end.sent())

    def pass_on_to(self, first: int, second: int) -> None:
        """Pass on what one server has to send to another one with a lower number."""
        other, end = self._links[second, first]
        other.receive(end.sent())

    def pings(self, first: int, second: int) -> SimpleNamespace:
        """Return the numbers of pings that the first server has sent the second one."""
        low, high = sorted((first, second))
        end, other = self._links[low, high]
        return end.pings if first == low else other.pings

    def step(self) -> bool:
        """Pass on what the links have to send; return False if that is nothing."""
        moved = False
        for ends in list(self._links.values()):
            for end, other in (ends, ends[::-1]):
                data = end.sent()
                if data:
                    moved = True
                    other.receive(data)
        return moved

    def run(self) -> None:
        """Pass on what the links have to send, until that is nothing."""
        for _ in range(1000):
            if not self.step():
                return
        raise AssertionError("the links do not come to rest")

    def check(self) -> None:
        """Check that linked servers agree on the jobs asked for; none is under way."""
        for first, second in (*self._links, *(link[::-1] for link in self._links)):
            lender, borrower = self.member(first).links, self.member(second).links
            here, there = lender.remotes[second], borrower.remotes[first]
            assert not there.asked
            for name in (*lender.lending.wanted, *here.worker.abilities):
                waits = lender.lending.wanted.get(name, {}).get(here, 0)
                assert borrower.borrowing.ahead.asked(there, name) == waits

    def after(self, seconds: float) -> None:
        """Move the clocks of all servers."""
        for member in self.members:
            member.after(seconds)
        self.run()

    def unique_of(self, number: int) -> bytes:
        """Return a unique whose home is this server."""
        uniques = (b"u%d" % n for n in range(1000))
        return next(u for u in uniques if self.owners[home_of(u, b"")] == number)


def got(joined: Joined, *wires: Wire) -> list[list[tuple[Any, ...]]]:
    """Let the links come to rest, and return what the peers have got."""
    joined.run()
    return [wire.got() for wire in wires]
