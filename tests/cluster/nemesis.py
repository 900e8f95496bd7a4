"""One fault after the other, at random, while clients and workers play."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from tests.crash.process import Server
from tests.servers import DEADLINE

from .clocks import clocks
from .fleet import Fleet, fleet
from .grounds import Database, Trouble
from .players import playing

SERVERS = 3

# The longest time that something is stopped, in leases.
LONGEST = 3.0

# Seconds after a fault until jobs are done again: the lease, a lost connection to the
# database, and a slow machine.
RECOVERY = 3 * DEADLINE

# Seconds by which data are late: in links, up to what is taken for a broken one; on
# the way to the database, up to half of the lease.
SLOWEST_LINK = 3.0
SLOWEST_COMMIT = 0.5

# Seconds by which a clock is wrong.
WRONG = (-3600.0, -120.0, 120.0, 3600.0)

Fault = Callable[[Server], Awaitable[None]]


class Nemesis:
    """Makes faults in a fleet; the same `random` makes the same ones.

    Each kind comes once before any comes again.
    """

    def __init__(self, running: Fleet, numbers: random.Random) -> None:
        self._fleet = running
        self._random = numbers
        self._faults: dict[str, Fault] = {
            "server killed": self._kill,
            "server ended": self._stop,
            "server drained": self._drain,
            "server paused": self._pause,
            "cut off from the database": self._cut,
            "connections to the database severed": self._sever,
            "slow database": self._slow_database,
            "links cut": self._cut_links,
            "links severed": self._sever_links,
            "slow links": self._slow_links,
            "clock moved": self._move_clock,
        }
        for name, trouble in running.ground.troubles().items():
            self._faults[name] = partial(self._trouble, trouble)
        self._next: list[str] = []
        self.struck: Counter[str] = Counter()

    async def strike(self) -> None:
        """Make a fault, and return when jobs are done again."""
        await self._fleet.replace()
        if not self._next:
            self._next = list(self._faults)
            self._random.shuffle(self._next)
        name = self._next.pop()
        self.struck[name] += 1
        print(f"{self.struck.total()}. {name}", flush=True)
        await self._faults[name](self._random.choice(self._fleet.servers))
        enough = self._fleet.history.ends + 10
        try:
            async with asyncio.timeout(RECOVERY):
                while self._fleet.history.ends < enough:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"no jobs are done after: {name}") from None

    async def _some_time(self) -> None:
        await asyncio.sleep(self._random.uniform(0, LONGEST * self._fleet.lease))

    # -- servers

    async def _kill(self, server: Server) -> None:
        await self._fleet.remove(server, signal.SIGKILL)
        await self._fleet.add()

    async def _stop(self, server: Server) -> None:
        has_ended = server.process.returncode is not None
        number = signal.SIGKILL if has_ended else signal.SIGTERM
        await self._fleet.remove(server, number)
        await self._fleet.add()

    async def _drain(self, server: Server) -> None:
        self._fleet.history.drains[self._fleet.name(server)] = time.time()
        with suppress(ProcessLookupError):
            server.process.send_signal(signal.SIGUSR1)
        await self._some_time()
        # It may end by itself at any moment, so it is not asked to.
        await self._kill(server)

    async def _pause(self, server: Server) -> None:
        # It may be one that could not begin without the database.
        async with self._fleet.stopped(server):
            await self._some_time()

    async def _move_clock(self, server: Server) -> None:
        self._fleet.clock(server).move(self._random.choice(WRONG))

    # -- the network to the database

    async def _cut(self, server: Server) -> None:
        network = self._fleet.network(server)
        network.cut()
        await self._some_time()
        network.heal()
        if self._random.random() < 0.5:
            network.sever()

    async def _sever(self, server: Server) -> None:
        self._fleet.network(server).sever()

    async def _slow_database(self, server: Server) -> None:
        network = self._fleet.network(server)
        network.slow_down(self._random.uniform(0, SLOWEST_COMMIT * self._fleet.lease))
        await self._some_time()
        network.slow_down(0)

    # -- the links that others have opened to a server; the oldest one has none of these

    def _linked(self) -> Server:
        return self._random.choice(self._fleet.servers[1:])

    async def _cut_links(self, _: Server) -> None:
        links = self._fleet.links(self._linked())
        links.cut()
        await self._some_time()
        links.heal()
        if self._random.random() < 0.5:
            links.sever()

    async def _sever_links(self, _: Server) -> None:
        self._fleet.links(self._linked()).sever()

    async def _slow_links(self, _: Server) -> None:
        server = self._linked()
        links = self._fleet.links(server)
        begin = time.time()
        links.delay = self._random.uniform(0, SLOWEST_LINK)
        await self._some_time()
        links.delay = 0
        slow = self._fleet.history.slow
        slow.setdefault(self._fleet.name(server), []).append((begin, time.time()))

    # -- the database

    async def _trouble(self, trouble: Trouble, _: Server) -> None:
        end = await asyncio.to_thread(trouble, self._random)
        await self._some_time()
        await asyncio.to_thread(end)


async def survive(
    database: Database, seed: int, faults: int, lease: float = 1.0
) -> None:
    """Let a fleet survive so many faults; raise AssertionError if it does not."""
    began = time.monotonic()
    with clocks() as made:
        async with fleet(database, SERVERS, lease, clocks=made) as running:
            nemesis = Nemesis(running, random.Random(seed))
            async with playing(running, workers=4, plain=2, others=2):
                for _ in range(faults):
                    await nemesis.strike()
            broken = running.broken()
    seconds = time.monotonic() - began
    print(f"seed {seed}, {faults} faults, {seconds:.0f} s: {dict(nemesis.struck)}")
    assert broken == [], broken[:10]
