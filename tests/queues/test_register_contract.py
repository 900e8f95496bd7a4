"""The contract of registers: a plugin whose stores a cluster can share passes it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from gearman.errors import Fenced, QueueError
from gearman.queue import NOBODY, SPARE, Claim, Cluster, Member, Register, StoredJob
from tests.queues.backend import Backend
from tests.queues.backends import BACKENDS

pytestmark = pytest.mark.any_build

# Long enough for a slow machine.
LEASE = 40.0
ALL = frozenset(range(64))

# One in each of the shards 1, 2 and 3.
ONE = StoredJob(65, b"H:host:65", b"f", b"u", b"one")
TWO = StoredJob(66, b"H:host:66", b"f", b"v", b"two")
THREE = StoredJob(67, b"H:host:67", b"g", b"u", b"three")


class Server:
    """What a server does with its store; its address is its name."""

    def __init__(self, open_queue: Callable[[Cluster], Any], name: str) -> None:
        self._cluster = Cluster("fleet", name, LEASE)
        self._open = open_queue
        self.queue = open_queue(self._cluster)
        self.register: Register = self.queue.register()
        self.claim = Claim(NOBODY, 0)

    def close(self) -> None:
        self.queue.close()
        self.register.close()

    def joins(self) -> "Server":
        self.claim = self.register.join()
        return self

    def owns(self, shards: frozenset[int] = ALL) -> list[object]:
        """Join, own free shards, and return their jobs."""
        self.joins().register.take(shards)
        return self.takes_up(shards)

    def takes_up(self, shards: frozenset[int] = ALL) -> list[object]:
        """Open the store once more, as the owner of shards, and return their jobs."""
        self.queue.close()
        self.queue = self._open(self._cluster)
        self.queue.own(self.claim)
        return self.reads(shards)

    def reads(self, shards: frozenset[int] = ALL) -> list[object]:
        items, after = [], -(2**63)
        while True:
            page = self.queue.read(shards, after)
            items += page.items
            if page.last is None:
                return items
            after = page.last

    def sees(self, other: "Server") -> Member | None:
        """Return what this server sees of another one."""
        found = [m for m in self.register.look().members if m.id == other.claim.id]
        return found[0] if found else None

    def buries(self, other: "Server") -> bool:
        member = self.sees(other)
        assert member is not None
        return self.register.bury(member)

    @property
    def shards(self) -> set[int]:
        roll = self.register.look()
        return {n for n, each in enumerate(roll.shards) if each.server == self.claim.id}


@pytest.fixture(params=[name for name in BACKENDS if name in ("mysql", "postgres")])
def server(
    request: pytest.FixtureRequest, backends: Callable[[str], Backend]
) -> Iterator[Callable[..., Server]]:
    """A function that makes a server; all of them share a store."""
    backend = backends(request.param)
    arguments = backend.new_store()
    made: list[Server] = []

    def open_queue(cluster: Cluster) -> Any:
        plugin: Any = backend.plugin
        return plugin(**arguments, cluster=cluster)

    def make(name: str = "one:1") -> Server:
        made.append(Server(open_queue, name))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_at_first_nobody_is_there(server):
    roll = server().register.look()
    assert roll.members == ()
    assert len(roll.shards) == 64
    assert set(roll.shards) == {(NOBODY, 0, 0)}


def test_server_that_has_joined_is_seen(server):
    one, two = server().joins(), server("two:2").joins()
    member = two.sees(one)
    assert member is not None
    assert member.address == "one:1"
    assert not member.draining
    assert not member.over
    assert abs(member.joined - time.time()) < 60
    assert one.claim.id != two.claim.id
    assert one.claim.epoch < two.claim.epoch
    assert [each.epoch for each in (one.sees(one), one.sees(two))] == [1, 2]
    assert one.shards == set()


def test_renewal_is_seen(two):
    one, other = two
    before = other.sees(one)
    assert one.register.renew(1000)
    assert other.sees(one) == before._replace(renewals=before.renewals + 1)


def test_free_shards_are_taken(server):
    one = server().joins()
    one.register.take({1, 2})
    roll = one.register.look()
    assert one.shards == {1, 2}
    assert roll.shards[1].epoch == 1
    assert roll.shards[3] == (NOBODY, 0, 0)
    # The clock of the database is that of this machine.
    assert abs(roll.shards[1].first_number / 1_000_000 - time.time()) < 60


def test_shards_of_others_are_not_taken(two):
    one, other = two
    other.register.take({1, 2})
    assert one.shards == ALL
    assert other.shards == set()


def test_only_one_of_several_servers_takes_a_shard(server):
    servers = [server(f"host:{number}").joins() for number in range(1, 5)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda each: each.register.take(ALL), servers))
    owned = [each.shards for each in servers]
    assert sorted(map(len, owned)) == [0, 0, 0, 64]


def test_jobs_of_some_shards_are_read(two):
    one, _ = two
    assert one.reads() == [ONE, TWO]
    assert one.reads(frozenset({2, 3})) == [TWO]
    assert one.reads(frozenset({5})) == []


def test_jobs_are_read_in_pages(two):
    one, _ = two
    jobs = [ONE._replace(number=1000 + n) for n in range(5000)]
    jobs = [job._replace(handle=b"H:host:%d" % job.number) for job in jobs]
    one.queue.commit(jobs, [])
    assert one.reads() == [ONE, TWO, *jobs]
    assert one.queue.read(ALL, 66).items[0] == jobs[0]
    assert one.queue.read(ALL, 10_000) == ([], None)


def test_page_ends_after_some_mebibytes(two):
    one, _ = two
    large = b"x" * 9_000_000
    jobs = [ONE._replace(number=100 + n, workload=large) for n in range(4)]
    one.queue.commit(jobs, [])
    page = one.queue.read(ALL, 66)
    assert 1 <= len(page.items) < 4
    assert len(one.reads()) == 6


def test_buried_server_can_neither_commit_nor_renew(two):
    one, other = two
    assert other.buries(one)
    assert other.sees(one) is None
    for _ in range(2):
        with pytest.raises(QueueError):
            one.queue.commit([THREE], [65])
    with pytest.raises(Fenced):
        one.queue.commit([], [])
    assert not one.register.renew(0)
    with pytest.raises(Fenced):
        one.takes_up()
    assert one.shards == set()
    other.register.take(ALL)
    assert other.takes_up() == [ONE, TWO]


def test_buried_server_takes_and_gives_nothing(two):
    one, other = two
    assert other.buries(one)
    one.register.take(ALL)
    one.register.give({1}, other.claim.id, 1)
    assert one.shards == set()
    assert other.shards == set()


def test_dead_owner_has_several_heirs(two, server):
    one, other = two
    third = server("three:3").joins()
    assert other.buries(one)
    other.register.take({n for n in ALL if n % 2})
    third.register.take({n for n in ALL if not n % 2})
    assert other.takes_up(frozenset(other.shards)) == [ONE]
    assert third.takes_up(frozenset(third.shards)) == [TWO]
    epochs = {shard.epoch for shard in third.register.look().shards}
    assert epochs == {2}


def test_server_that_has_renewed_its_lease_is_not_buried(two):
    one, other = two
    seen = other.sees(one)
    assert one.register.renew(0)
    assert not other.register.bury(seen)
    one.queue.commit([THREE], [65])
    assert one.shards == ALL


def test_only_one_server_buries_another(two, server):
    one, other = two
    third = server("three:3").joins()
    seen = other.sees(one)
    assert third.register.bury(seen)
    assert not other.register.bury(seen)


def test_shards_are_given_while_both_servers_go_on(two):
    one, other = two
    one.queue.commit([THREE], [])
    one.register.give({1, 3}, other.claim.id, 1)
    assert other.shards == {1, 3}
    assert len(one.shards) == 62
    assert other.takes_up(frozenset({1, 3})) == [ONE, THREE]
    other.queue.commit([], [65])
    one.queue.commit([], [66])
    assert other.reads() == [THREE]


def test_shards_of_others_are_not_given(two, server):
    one, other = two
    third = server("three:3").joins()
    other.register.give({1}, third.claim.id, 1)
    assert one.shards == ALL


def test_shard_is_not_given_to_a_server_that_is_gone(two):
    one, other = two
    assert one.buries(other)
    one.register.give({1}, other.claim.id, 1)
    assert one.shards == ALL


def test_gift_may_be_repeated(two):
    one, other = two
    for _ in range(2):
        one.register.give({1}, other.claim.id, 1)
    assert other.register.look().shards[1].epoch == 2


NUMBER = 2**60


def first_number(server: Server) -> int:
    return int(server.register.look().shards[1].first_number)


def test_taker_uses_higher_numbers_than_the_giver(two):
    one, other = two
    one.register.give({1}, other.claim.id, NUMBER)
    assert first_number(one) == NUMBER


def test_heir_uses_higher_numbers_than_the_dead_server(two):
    one, other = two
    assert one.register.renew(NUMBER)
    assert other.buries(one)
    other.register.take({1})
    assert first_number(one) >= NUMBER + SPARE


def test_heir_uses_higher_numbers_although_no_lease_was_renewed(two):
    one, other = two
    before = first_number(one)
    assert other.buries(one)
    assert first_number(one) >= before + SPARE


def test_numbers_never_go_back(two):
    one, other = two
    assert one.register.renew(NUMBER)
    assert one.register.renew(10)
    one.register.give({1}, other.claim.id, 10)
    assert first_number(one) > 10
    assert other.buries(one)
    assert int(one.register.look().shards[2].first_number) >= NUMBER + SPARE


def test_gift_counts_for_the_numbers_of_other_shards(two):
    one, other = two
    one.register.give({1}, other.claim.id, NUMBER)
    assert other.buries(one)
    assert int(one.register.look().shards[2].first_number) >= NUMBER


def test_server_that_leaves_frees_its_shards(two):
    one, other = two
    one.queue.close()
    one.register.leave(NUMBER)
    assert other.sees(one) is None
    assert first_number(other) == NUMBER
    other.register.take(ALL)
    assert other.takes_up() == [ONE, TWO]


def test_leaving_twice_changes_nothing(two):
    one, other = two
    one.register.leave(NUMBER)
    other.register.take({1})
    one.register.leave(NUMBER)
    assert other.shards == {1}


def test_drain_is_seen(two):
    one, other = two
    one.register.drain()
    member = other.sees(one)
    assert member is not None
    assert member.draining
    one.queue.commit([THREE], [])


def test_joining_again_buries_the_earlier_claim(two):
    one, other = two
    before = one.claim
    one.joins()
    assert one.claim.id != before.id
    assert one.claim.epoch > before.epoch
    assert len(other.register.look().members) == 2
    assert one.shards == set()
    assert one.owns() == [ONE, TWO]


def test_register_does_not_need_the_queue(two):
    one, _ = two
    one.queue.close()
    assert one.register.renew(0)
    with closing(one.register):
        assert one.shards == ALL
    one.register.close()
