"""One server owns the jobs, another one takes over: with processes and a Postgres."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests.crash.players import Wire
from tests.queues.backend_postgres import Database, cluster
from tests.wire import packet

from .fleet import OWNS, Fleet, fleet
from .history import Kind
from .players import playing

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def postgres():
    with cluster() as running:
        yield running


@pytest.fixture
def database(postgres, request):
    return Database(postgres, request.node.name.partition("[")[0][:60])


def play(database, story, **options):
    """Let players play while the story is told, and check what they have seen."""

    async def run():
        async with fleet(database, **options) as running:
            async with playing(running) as players:
                await played(running)
                await story(running)
                await played(running)
            assert players
            assert list(running.history.broken()) == []
            assert running.intruders() == 0
            print(running.history.summary())

    asyncio.run(run())


async def played(running: Fleet, jobs: int = 100) -> None:
    """Return when so many more jobs have ended."""
    enough = running.history.count(Kind.ENDED) + jobs
    async with asyncio.timeout(30):
        while running.history.count(Kind.ENDED) < enough:
            await asyncio.sleep(0.02)


def test_another_server_takes_over_from_one_that_was_killed(database):
    async def story(running):
        old = await running.owner()
        began = time.monotonic()
        await running.remove(old, signal.SIGKILL)
        await running.owner()
        assert time.monotonic() - began < 1 + 2
        await (await running.add()).says("standing by")

    play(database, story)


def test_stopped_server_gives_up_the_jobs_when_it_goes_on(database):
    async def story(running):
        old = await running.owner()
        old.process.send_signal(signal.SIGSTOP)
        new = await running.owner(old)
        await played(running)
        old.process.send_signal(signal.SIGCONT)
        await old.says("another server")
        await old.says("standing by")
        old.process.send_signal(signal.SIGSTOP)
        old.process.send_signal(signal.SIGCONT)
        assert await running.owner() is new
        # It takes over in its turn, in the same process.
        new.process.send_signal(signal.SIGSTOP)
        await old.says(OWNS, 2)
        await old.says("ready (process", 2)
        new.process.send_signal(signal.SIGCONT)

    play(database, story)


def test_server_that_is_cut_off_gives_up_the_jobs(database):
    async def story(running):
        old = await running.owner()
        running.network(old).cut()
        await old.says("stored jobs are held until it is renewed")
        await running.owner(old)
        await played(running)
        running.network(old).heal()
        running.network(old).sever()
        await old.says("standing by")

    play(database, story)


def test_server_that_is_stopped_properly_is_replaced_at_once(database):
    async def story(running):
        old = await running.owner()
        began = time.monotonic()
        await running.remove(old, signal.SIGTERM)
        await running.owner()
        assert time.monotonic() - began < 10

    play(database, story, lease=60)


def test_owner_stays_when_the_database_is_restarted(database):
    async def story(running):
        await asyncio.to_thread(database.cluster.restart)
        await played(running)
        assert running.history.count(Kind.OWNER) == 1

    play(database, story, lease=30)


def test_without_the_database_only_foreground_jobs_go_on(database):
    async def story():
        async with fleet(database, servers=1) as running:
            [server] = running.servers
            client, worker = [await Wire.connect(server.port) for _ in range(2)]
            await client.send(packet("SUBMIT_JOB_BG", b"stored", b"", b"w"))
            assert (await client.receive())[0] == "JOB_CREATED"
            running.network(server).cut()
            await server.says("stored jobs are held until it is renewed")
            await client.send(packet("SUBMIT_JOB", b"direct", b"", b"w"))
            _, handle = await client.receive()
            await worker.send(packet("CAN_DO", b"stored"))
            await worker.send(packet("CAN_DO", b"direct"))
            await worker.send(packet("GRAB_JOB"))
            assert await worker.receive() == ("JOB_ASSIGN", handle + b"\0direct\0w")
            await worker.send(packet("GRAB_JOB"))
            assert await worker.receive() == ("NO_JOB", b"")
            await worker.send(packet("PRE_SLEEP"))
            running.network(server).heal()
            assert await worker.receive() == ("NOOP", b"")
            await server.says("stored jobs are handed out again")
            client.close()
            worker.close()

    asyncio.run(story())


def test_server_alone_takes_its_jobs_up_again(database):
    """The memory of the jobs that it has given up is used again."""

    async def story(running):
        [server] = running.servers
        used = []
        for times in (1, 2, 3):
            database.sql("UPDATE gearman_jobs_servers SET id = -id")
            await server.says("another server", times)
            if times == 1:
                database.sql(FILL)
            database.sql("UPDATE gearman_jobs_servers SET id = -id")
            await server.says("ready (process", times + 1)
            used.append(memory_of(server))
        database.sql("DELETE FROM gearman_jobs WHERE function_name = 'idle'")
        assert max(used) < used[0] + 5_000_000

    play(database, story, servers=1)


# Jobs that no worker takes; they take more than ten million bytes of memory.
FILL = """
    INSERT INTO gearman_jobs SELECT number, '', 'idle', '', 'w', 1, 0, 0, NULL, NULL
    FROM generate_series(1, 40000) AS number
"""


def memory_of(server):
    """Return how many bytes of memory a server uses."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
