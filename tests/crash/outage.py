"""A server under load whose back end fails for a while, with a record of its jobs."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

from tests.queues.backend import Store
from tests.servers import DEADLINE
from tests.wire import packet

from .books import Books
from .players import Load, Play, Wire, drained
from .process import Server, queue_options

BEGUN = "jobs cannot be stored for now"
OVER = "jobs can be stored again"

# Small enough for a store of 2000 jobs in a small file system.
SIZES = (1000, 10_000)

Step = Callable[[], Awaitable[object]]


class Outage:
    """A server with clients and workers, and the conditions that tests wait for."""

    def __init__(self, store: Store, server: Server, play: Play) -> None:
        self._store = store
        self.server = server
        self._books = play.books
        self._play = play

    async def until(self, what: str, count: int = 100) -> None:
        """Return when so many more jobs than now were acknowledged, refused, …"""
        enough = self._books.counts[what] + count
        async with asyncio.timeout(DEADLINE):
            await self._play.until(lambda: self._books.counts[what] >= enough)

    async def lasts(self) -> None:
        """Check what a server does while its back end fails."""
        await self.server.says(BEGUN)
        await self.until("refused")
        await serves_others(self.server.port)
        # Jobs in memory are still served, if there are any.
        if len(self._books.open) > 200:
            await self.until("finished")
        assert self._play.errors, "no reason was given"

    async def hangs(self) -> None:
        """Check what a server does while it waits for its back end."""
        for _ in range(10):
            await serves_others(self.server.port)

    async def is_over(self) -> None:
        await self.server.says(OVER, self.server.said(BEGUN))
        await self.until("acknowledged", 500)
        await self.until("finished")

    async def ends(self) -> None:
        """Kill the server, and check that a new one has all acknowledged jobs."""
        await self.server.kill()
        await self.starts_again()

    async def starts_again(self) -> None:
        """Check that a new server has all jobs that the old one has acknowledged."""
        self._books.killed()
        server = await Server.start(*queue_options(self._store))
        try:
            await server.ready()
            play = Play(self._books, random.Random(), server.port)
            async with Load(play, clients=0):
                await drained(server.port)
                await server.stop()
        finally:
            await server.end()
        self._books.stopped()
        assert self._books.lost() == []
        assert self._store.content() == []


@asynccontextmanager
async def under_load(store: Store) -> AsyncIterator[Outage]:
    """Yield a server under load, which is killed in the end, if it still runs."""
    server = await Server.start(*queue_options(store))
    try:
        await server.ready()
        numbers = random.Random()
        play = Play(Books(), numbers, server.port, usual=SIZES, large=(20_000, 50_000))
        async with Load(play):
            yield Outage(store, server, play)
            # The players go on until it is gone.
            await server.end()
    finally:
        await server.end()


async def serves_others(port: int) -> None:
    """Run a foreground job."""
    async with asyncio.timeout(DEADLINE):
        with (
            closing(await Wire.connect(port)) as client,
            closing(await Wire.connect(port)) as worker,
        ):
            await worker.send(packet("CAN_DO", b"echo"))
            await client.send(packet("SUBMIT_JOB", b"echo", b"", b"sound"))
            name, handle = await client.receive()
            assert name == "JOB_CREATED"
            await worker.send(packet("GRAB_JOB"))
            job = handle + b"\0echo\0sound"
            assert await worker.receive() == ("JOB_ASSIGN", job)
            await worker.send(packet("WORK_COMPLETE", handle, b"sound"))
            answer = handle + b"\0sound"
            assert await client.receive() == ("WORK_COMPLETE", answer)


def survives(store: Store, fail: Step, recover: Step, *, news: int = 1) -> None:
    """Check that no acknowledged job is lost when a back end fails for a while.

    The log may report at most so many outages: further failed attempts are not logged.
    """

    async def story() -> None:
        async with under_load(store) as outage:
            await outage.until("acknowledged", 500)
            await fail()
            await outage.lasts()
            await recover()
            await outage.is_over()
            begun = outage.server.said(BEGUN)
            assert begun == outage.server.said(OVER)
            assert begun <= news
            await outage.ends()

    asyncio.run(story())


def survives_quickly(store: Store, fail_and_recover: Step) -> None:
    """Check the same for an outage that may be over before it is noticed."""

    async def story() -> None:
        async with under_load(store) as outage:
            await outage.until("acknowledged", 500)
            await fail_and_recover()
            await outage.is_over()
            await outage.ends()

    asyncio.run(story())


def survives_a_pause(store: Store, pause: Step, resume: Step) -> None:
    """Check that the server waits for a back end that does not answer for a while."""

    async def story() -> None:
        async with under_load(store) as outage:
            await outage.until("acknowledged", 500)
            await pause()
            await outage.hangs()
            await resume()
            await outage.is_over()
            await outage.ends()

    asyncio.run(story())
