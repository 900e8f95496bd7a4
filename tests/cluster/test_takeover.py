"""Servers share the jobs, and take over from others: with processes and a Postgres."""

import asyncio
import os
import re
import signal
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.crash.players import Wire
from tests.queues.backend_mysql import Database as MysqlDatabase
from tests.queues.backend_mysql import daemon
from tests.queues.backend_postgres import Database, cluster
from tests.servers import DEADLINE, until
from tests.wire import packet

from .fleet import LONG_LEASE, fleet
from .players import playing

pytestmark = pytest.mark.interop

EXPIRED = "has not renewed its lease"
HELD = "stored jobs are held until it is renewed"

# So many jobs are done before and after something fails.
JOBS = 100


@pytest.fixture(scope="module")
def postgres():
    with cluster() as running:
        yield running


@pytest.fixture(scope="module")
def mariadb():
    with daemon() as running:
        yield running


@pytest.fixture
def database(request):
    """A new database; of Postgres, unless the test wants another."""
    name = request.node.name.partition("[")[0][:60]
    if getattr(request, "param", "postgres") == "mariadb":
        return MysqlDatabase(request.getfixturevalue("mariadb"), name)
    return Database(request.getfixturevalue("postgres"), name)


# A build makes the same difference with both.
in_each = pytest.mark.parametrize(
    "database",
    ["postgres", pytest.param("mariadb", marks=pytest.mark.any_build)],
    indirect=True,
)


def play(database, story, **options):
    """Let players play while the story is told, and check what they have seen."""

    async def run():
        async with fleet(database, **options) as running:
            async with playing(running) as players:
                await running.ended(JOBS)
                await story(running)
                await running.ended(JOBS)
            assert players
            assert running.broken() == []
            print(running.history.summary())

    asyncio.run(run())


def expired(running):
    """Return how often servers have told that the lease of another one was over."""
    return sum(server.said(EXPIRED) for server in running.servers)


def gifts(server):
    """Return how many shards a server has given away at a time, as it says."""
    found = (re.search(r"gave (\d+) shards away", line) for line in server.lines)
    return [int(each[1]) for each in found if each]


@in_each
def test_others_take_over_from_one_that_was_killed_and_share_with_one_that_joins(
    database,
):
    async def story(running):
        before = expired(running)
        await running.remove(running.servers[0], signal.SIGKILL)
        await running.balanced()
        assert expired(running) > before
        await running.ended(JOBS)
        await (await running.add()).ready()
        await running.balanced()

    play(database, story, servers=3)


@in_each
def test_stopped_server_gives_up_its_shards_when_it_goes_on(database):
    async def story(running):
        old, new = running.servers
        await running.balanced()
        text = f"{EXPIRED}: its 32 shards are free"
        before = new.said(text)
        async with running.stopped(old):
            await new.says(text, before + 1)
            await running.ended(JOBS)
        # Its keeper finds out, or a commit does.
        await old.says("another server")
        await old.says("has joined the cluster", 2)
        await old.says("ready (process", 2)
        await running.balanced()

    play(database, story)


@in_each
def test_server_that_is_cut_off_gives_up_its_shards(database):
    async def story(running):
        old, new = running.servers
        held, before = old.said(HELD), new.said(EXPIRED)
        running.network(old).cut()
        await old.says(HELD, held + 1)
        await new.says(EXPIRED, before + 1)
        await running.ended(JOBS)
        running.network(old).heal()
        running.network(old).sever()
        await old.says("has joined the cluster", 2)
        await running.balanced()

    play(database, story)


def test_server_that_is_stopped_properly_is_replaced_at_once(database):
    async def story(running):
        await running.remove(running.servers[0], signal.SIGTERM)
        await running.balanced()
        assert not any(server.said(EXPIRED) for server in running.servers)

    # Long enough not to end meanwhile; who joins waits for half of it.
    play(database, story, lease=10)


def test_drained_server_gives_its_shards_away_and_ends(database):
    async def story(running):
        old, new = running.servers
        given = sum(gifts(old))
        with closing(await Wire.connect(old.port)) as client:
            # It does not end as long as this job waits.
            await client.send(packet("SUBMIT_JOB", b"waits", b"", b""))
            assert (await client.receive())[0] == "JOB_CREATED"
            old.process.send_signal(signal.SIGUSR1)
            async with asyncio.timeout(DEADLINE):
                while await asyncio.to_thread(running.owned) != [0, 64]:
                    await asyncio.sleep(0.02)
        async with asyncio.timeout(DEADLINE):
            assert await old.process.wait() == 0
        await running.remove(old, signal.SIGTERM)
        # Some go later than others, since jobs of them run.
        assert sum(gifts(old)) == given + 32
        assert not new.said(EXPIRED)
        await running.balanced()

    play(database, story, lease=LONG_LEASE)


def test_server_that_stands_by_reads_its_settings_again(database, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("")

    async def story():
        options = "--settings", str(file)
        async with fleet(database, servers=1, lease=2, options=options) as running:
            server = await running.add()
            file.write_text("[functions.f]\nretries = 2\n")
            server.process.send_signal(signal.SIGHUP)
            await server.says("ready (process")
            await server.says("settings read again: 1 policies")

    asyncio.run(story())


def test_drained_server_without_others_leaves_its_jobs_in_the_database(database):
    async def story():
        async with fleet(database, 1, LONG_LEASE) as running:
            [server] = running.servers
            client = await Wire.connect(server.port)
            await client.send(packet("SUBMIT_JOB_BG", b"f", b"", b"w"))
            assert (await client.receive())[0] == "JOB_CREATED"
            server.process.send_signal(signal.SIGUSR1)
            async with asyncio.timeout(DEADLINE):
                assert await server.process.wait() == 0
            await running.remove(server, signal.SIGTERM)
            assert running.database.sql("SELECT count(*) FROM gearman_jobs") == [(1,)]
            await (await running.add()).says("took up 1 stored jobs")
            client.close()

    asyncio.run(story())


def test_shard_with_a_job_that_runs_stays(database):
    async def story():
        async with fleet(database, 1, LONG_LEASE) as running:
            [server] = running.servers
            client, worker = [await Wire.connect(server.port) for _ in range(2)]
            await worker.send(packet("CAN_DO", b"f"))
            running_jobs = []
            for _ in range(64):
                await client.send(packet("SUBMIT_JOB_BG", b"f", b"", b"w"))
                assert (await client.receive())[0] == "JOB_CREATED"
                await worker.send(packet("GRAB_JOB"))
                _, body = await worker.receive()
                running_jobs.append(body.split(b"\0")[0])
            new = await running.add()
            await server.says("kept 4 shards with 4 jobs")
            assert running.owned() == [0, 64]
            for handle in running_jobs:
                await worker.send(packet("WORK_COMPLETE", handle, b""))
            await new.ready()
            await running.balanced()
            none = "SELECT 1 FROM gearman_jobs HAVING count(*) = 0"
            await asyncio.to_thread(until, partial(running.database.sql, none))
            client.close()
            worker.close()

    asyncio.run(story())


def test_servers_stay_when_the_database_is_restarted(database):
    async def story(running):
        await asyncio.to_thread(database.cluster.restart)
        await running.ended(JOBS)
        assert running.owned() == [32, 32]
        assert not any(server.said("another server") for server in running.servers)

    play(database, story, lease=10)


def test_without_the_database_only_foreground_jobs_go_on(database):
    async def story():
        async with fleet(database, 1, LONG_LEASE) as running:
            [server] = running.servers
            client, worker = [await Wire.connect(server.port) for _ in range(2)]
            await client.send(packet("SUBMIT_JOB_BG", b"stored", b"", b"w"))
            assert (await client.receive())[0] == "JOB_CREATED"
            running.network(server).cut()
            await server.says(HELD)
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
    swap = "UPDATE gearman_jobs_servers SET id = -id"

    async def story(running):
        [server] = running.servers
        used = []
        for times in (1, 2, 3):
            # Statements of the server, which may have to end before, pass through this
            # event loop.
            await asyncio.to_thread(database.sql, swap)
            await server.says("jobs are given up", times)
            # It says nothing to the database meanwhile.
            if times == 1:
                database.sql(FILL)
            database.sql(swap)
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
