"""Moving shards to and from a server, with a database in memory."""

import asyncio
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gearman.queue import NOBODY, Cluster, Roll, StoredJob
from gearman.server.broker import Broker, Peer
from gearman.server.cluster import mover
from gearman.server.cluster.balance import MOST
from gearman.server.cluster.home import ALL_SHARDS
from gearman.server.cluster.keeper import Keeper
from gearman.server.cluster.mover import Mover
from gearman.server.cluster.shards import Map
from gearman.server.settings.levels import NOTICE
from gearman.server.storage.durability import NO_SHARD, Durability
from tests.server.cluster.memory import Memory
from tests.server.storage.shared_queue import Shared
from tests.servers import DEADLINE

LEASE = 0.4
JOBS = [StoredJob(n, b"", b"f", b"", b"%d" % n) for n in range(100, 420)]


class Client(Peer):
    """Keeps its answers."""

    def __init__(self) -> None:
        super().__init__("test")
        self.answers: list[tuple[int, tuple[bytes, ...]]] = []

    def send(self, command: int, arguments: tuple[bytes, ...]) -> None:
        self.answers.append((command, arguments))


class Clock:
    """Time as the mover sees it: it goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Site:
    """A server that owns all shards at first, with the parts that move them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.register = Memory()
        self.database = self.register.database
        self.keeper = Keeper(self.register, Cluster("fleet", "me:1", LEASE))
        self.map = Map()
        self.broker = Broker(persistent=True, first_handle=6400)
        self.queue = Shared(*JOBS)
        self.alone = 0
        # They renew their leases whenever this server looks at them.
        self.others: list[int] = []
        look = self.register.look

        def renew_and_look() -> Roll:
            for other in self.others:
                self.database.renew(other, 0, 3600.0)
            return look()

        self.register.look = renew_and_look  # type: ignore[method-assign]
        self._pressure: list[Any] = []

    async def begin(self) -> None:
        self.keeper.start()
        self.durability = Durability(self.queue, self.broker, _nothing, self._settle)
        self.durability.start(asyncio.get_running_loop(), None)
        self.mover = Mover(
            *(self.map, self.keeper, self.broker, self.durability),
            *(LEASE, self._is_alone, lambda _, then: then()),
        )
        self.durability.own(frozenset())
        assert self.broker.outage == NO_SHARD
        await self.until(lambda: self.keeper.roll is not None)
        assert self.keeper.claim is not None
        self.map.me = self.keeper.claim.id
        await self.until(lambda: self.map.served() == ALL_SHARDS)

    def _settle(self) -> None:
        self.durability.settle()

    def _is_alone(self) -> None:
        self.alone += 1

    async def end(self) -> None:
        await self.durability.close([])
        self.keeper.close()

    async def until(self, condition: Callable[[], object]) -> None:
        """Go on until a condition is met."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                if self.mover.look():
                    self.durability.settle()
                await asyncio.sleep(0.005)

    def joins(self) -> int:
        """Let another server join, and return its id."""
        self.others.append(self.database.join("other:1", 3600.0).id)
        return self.others[-1]

    async def gives(self, taker: int, count: int) -> None:
        """Go on until another server owns so many shards, and this one knows it."""
        await self.until(lambda: len(self.database.owned(taker)) == count)
        await self.until(lambda: not self.map.leaving())

    def grace_ends(self) -> None:
        """Let the time end in which shards may leave."""
        self.clock.now += LEASE

    def run_one(self) -> tuple[Client, bytes]:
        """Let a worker run a job, and return it with the handle."""
        worker = Client()
        self.broker.connect(worker)
        self.broker.workers.can_do(worker, b"f")
        self.broker.workers.grab(worker)
        return worker, worker.answers[-1][1][0]


def _nothing() -> None:
    """There are no connections."""


def play(story: Callable[[Site], Any]) -> None:
    async def run() -> None:
        site = Site()
        patch.setattr(mover, "time", site.clock)
        await site.begin()
        try:
            await story(site)
        finally:
            await site.end()

    with pytest.MonkeyPatch.context() as patch:
        asyncio.run(run())


def test_shards_are_loaded_when_they_are_gained(messages):
    async def story(site):
        assert len(site.broker.jobs.known) == 320
        assert site.broker.outage == b""
        assert not site.broker.schedules.elsewhere

    play(story)
    assert messages.count("took over 64 shards with 320 jobs in")


def test_nothing_is_done_before_the_database_has_answered():
    site = Site()
    durability = Durability(site.queue, site.broker, _nothing, _nothing)
    mover = Mover(
        *(site.map, site.keeper, site.broker, durability),
        *(1.0, _nothing, lambda _, then: then()),
    )
    assert mover.look()
    assert not site.map.mine()


def test_no_more_is_given_while_the_database_is_asked_to_give():
    async def story(site):
        roll = site.keeper.roll
        site.mover._keeper = SimpleNamespace(giving=True, roll=roll, calm=True)
        site.joins()
        assert site.mover.look()
        assert not site.map.leaving()

    play(story)


def test_all_shards_are_served_while_the_database_does_not_answer():
    async def story(site):
        site.joins()
        found = {"giving": False, "roll": site.database.look(), "calm": True}
        site.mover._keeper = SimpleNamespace(**found, answers=False)
        assert site.mover.look()
        assert site.map.served() == ALL_SHARDS
        site.mover._keeper.answers = True
        assert site.mover.look()
        assert len(site.map.leaving()) == MOST

    play(story)


def test_new_server_gets_its_part(messages):
    async def story(site):
        other = site.joins()
        await site.gives(other, 32)
        assert len(site.broker.jobs.known) == 160
        assert len(site.map.served()) == 32
        assert 0 in site.map.served()
        assert len(site.queue.jobs) == 320

    play(story)
    assert messages.count("gave 4 shards away") == 8


def test_numbers_of_a_gained_shard_are_new():
    async def story(site):
        other = site.joins()
        await site.gives(other, 32)
        given = site.database.owned(other)
        first = max(site.database.shards[shard].first_number for shard in given)
        assert first <= site.broker.jobs.next_number
        site.database.remove(other, 10**15)
        await site.until(lambda: site.map.served() == ALL_SHARDS)
        assert site.broker.jobs.next_number >= 10**15

    play(story)


def test_shard_with_a_running_job_stays_and_others_go(messages):
    async def story(site):
        # The first job is in shard 36, which would be the first to go.
        worker, handle = site.run_one()
        other = site.joins()
        await site.until(lambda: len(site.database.owned(other)) == 31)
        await site.until(lambda: site.map.leaving() == {36})
        site.grace_ends()
        await site.gives(other, 32)
        assert 36 not in site.database.owned(other)
        site.broker.workers.complete(worker, handle, b"")

    play(story)
    assert messages.count("kept 1 shards with 5 jobs") == 1


def test_shards_that_stay_again_and_again_are_told_once(messages):
    async def story(site):
        running = [site.run_one() for _ in range(320)]
        site.joins()
        messages.setFormatter(logging.Formatter("%(levelno)d %(message)s"))
        for tries in range(1, 4):
            await site.until(site.map.leaving)
            site.grace_ends()
            await site.until(lambda n=tries: messages.count("kept 4 shards") == n)
        for worker, handle in running:
            site.broker.workers.complete(worker, handle, b"")

    play(story)
    assert messages.count(f"{NOTICE} kept 4 shards") == 1


def test_gift_to_a_server_that_is_gone_is_taken_back():
    async def story(site):
        other = site.joins()
        give = site.register.give

        def late(shards, taker, number):
            site.database.remove(other, 0)
            give(shards, taker, number)

        site.register.give = late
        await site.until(lambda: "give" in site.register.calls)
        await site.until(lambda: site.map.served() == ALL_SHARDS)
        assert len(site.broker.jobs.known) == 320

    play(story)


def test_taker_that_begins_to_drain_gets_nothing(messages):
    async def story(site):
        running = [site.run_one() for _ in range(64)]
        other = site.joins()
        await site.until(site.map.leaving)
        site.database.drain(other)
        await site.until(lambda: site.map.members()[other].draining)
        for worker, handle in running:
            site.broker.workers.complete(worker, handle, b"")
        await site.until(lambda: site.map.served() == ALL_SHARDS)
        assert not site.database.owned(other)

    play(story)
    assert messages.count("kept 4 shards with 16 jobs")


def test_draining_server_gives_all(messages):
    async def story(site):
        other = site.joins()
        site.mover.drain()
        await site.gives(other, 64)
        await site.until(lambda: site.alone)
        assert site.broker.jobs.known == {}
        assert site.broker.outage == NO_SHARD
        await site.until(lambda: len(site.database.owned(other)) == 64)
        assert site.alone == 1

    play(story)


def test_draining_server_waits_for_a_job_that_runs():
    async def story(site):
        worker, handle = site.run_one()
        other = site.joins()
        site.mover.drain()
        await site.until(lambda: len(site.database.owned(other)) == 63)
        await site.until(lambda: site.map.leaving() == {36})
        site.broker.workers.complete(worker, handle, b"")
        await site.gives(other, 64)

    play(story)


def test_draining_server_without_others_ends_by_itself():
    async def story(site):
        site.mover.drain()
        await site.until(lambda: site.alone)
        # It has done all that there was to do.
        assert site.mover.look()
        assert site.alone == 1

    play(story)


def test_shards_that_others_have_without_a_gift_are_all_lost():
    async def story(site):
        site.database._move({3}, site.map.me, NOBODY + 99, 0, 1)
        async with asyncio.timeout(DEADLINE):
            while site.mover.look():
                await asyncio.sleep(0.005)

    play(story)
