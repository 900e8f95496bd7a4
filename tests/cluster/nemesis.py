"""One fault after the other, at random, while clients and workers play."""

import asyncio
import random
import signal
import time
from contextlib import suppress

from tests.crash.process import Server

from .fleet import Fleet, fleet
from .grounds import Database
from .history import History, Kind
from .players import playing

SERVERS = 3

# Seconds of a lease, and the longest time that something is stopped.
LEASE = 1.0
LONGEST = 3.0

# Seconds after a fault until jobs are done again: the lease, a lost connection to the
# database, and a slow machine.
RECOVERY = 60.0


class Nemesis:
    """Makes faults in a fleet; the same `random` makes the same ones."""

    def __init__(self, running: Fleet, numbers: random.Random) -> None:
        self._fleet = running
        self._random = numbers
        self._faults = (
            *(self._kill, self._stop, self._pause, self._pause, self._cut, self._cut),
            *(self._sever, self._drain, self._restart_the_database),
        )

    async def strike(self) -> None:
        """Make a fault, and return when jobs are done again."""
        await self._fleet.replace()
        await self._random.choice(self._faults)(
            self._random.choice(self._fleet.servers)
        )
        history = self._fleet.history
        enough = history.count(Kind.ENDED) + 10
        async with asyncio.timeout(RECOVERY):
            while history.count(Kind.ENDED) < enough:
                await asyncio.sleep(0.02)

    async def _some_time(self) -> None:
        await asyncio.sleep(self._random.uniform(0, LONGEST))

    async def _kill(self, server: Server) -> None:
        await self._fleet.remove(server, signal.SIGKILL)
        await self._fleet.add()

    async def _stop(self, server: Server) -> None:
        has_ended = server.process.returncode is not None
        number = signal.SIGKILL if has_ended else signal.SIGTERM
        await self._fleet.remove(server, number)
        await self._fleet.add()

    async def _drain(self, server: Server) -> None:
        with suppress(ProcessLookupError):
            server.process.send_signal(signal.SIGUSR1)
        await self._some_time()
        await self._stop(server)

    async def _pause(self, server: Server) -> None:
        # It may be one that could not begin without the database.
        with suppress(ProcessLookupError):
            server.process.send_signal(signal.SIGSTOP)
            await self._some_time()
            server.process.send_signal(signal.SIGCONT)

    async def _cut(self, server: Server) -> None:
        network = self._fleet.network(server)
        network.cut()
        await self._some_time()
        network.heal()
        if self._random.random() < 0.5:
            network.sever()

    async def _sever(self, server: Server) -> None:
        self._fleet.network(server).sever()

    async def _restart_the_database(self, _: Server) -> None:
        ground = self._fleet.ground
        await asyncio.to_thread(ground.stop, self._random.random() < 0.5)
        await self._some_time()
        await asyncio.to_thread(ground.start)


async def survive(database: Database, seed: int, faults: int) -> History:
    """Return the history of a fleet that has survived so many faults."""
    began = time.monotonic()
    async with fleet(database, SERVERS, LEASE) as running:
        nemesis = Nemesis(running, random.Random(seed))
        async with playing(running):
            for _ in range(faults):
                await nemesis.strike()
        broken = running.broken()
    history = running.history
    seconds = time.monotonic() - began
    print(f"seed {seed}, {faults} faults, {seconds:.0f} s: {history.summary()}")
    assert broken == [], broken[:10]
    return history
