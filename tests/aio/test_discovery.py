"""The client and the worker for asyncio learn of the servers of a cluster."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from gearman import aio
from gearman.aio import discovery
from gearman.aio.running_job import RunningJob
from gearman.client_core import discovery as core
from gearman.errors import ConnectionError, ServerUnavailable
from tests.client.stage import unanswered
from tests.members import Member, members
from tests.servers import DEADLINE, until

from .stage import descriptors, soon


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Member]]:
    """Servers that may take their time to answer."""
    monkeypatch.setattr("gearman.aio.discovery.PATIENCE", DEADLINE)
    with members(3) as running:
        yield running


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine; no task, and after a while no descriptor may be left."""

    async def watched() -> None:
        async with asyncio.timeout(DEADLINE):
            await main
        assert asyncio.all_tasks() == {asyncio.current_task()}

    before = descriptors()
    asyncio.run(watched())
    # The servers are threads of this process, and notice the end of a connection later.
    until(lambda: descriptors() <= before)


def names(client: aio.Client | aio.Worker) -> list[str]:
    return [server.name for server in client.servers]


async def submit(client: aio.Client) -> str:
    return (await client.call("f")).decode()


async def told(client: aio.Client) -> None:
    """Return when the questions of a client are answered."""
    finder = client._finder
    assert finder is not None
    if finder._task is not None:
        await finder._task


def look_again(client: aio.Client) -> None:
    """Let the time pass after which servers are asked again."""
    assert client._finder is not None
    client._finder._knowledge.due = float("-inf")


async def end(worker: aio.Worker, work: "asyncio.Task[None]") -> None:
    worker.stop()
    await work


def test_a_client_uses_the_servers_that_it_is_told(three: list[Member]) -> None:
    async def main() -> None:
        async with aio.Client(three[0].address, discover=True) as client:
            assert await submit(client) == three[0].address
            await told(client)
            assert names(client) == [each.address for each in three]
            results = {await submit(client) for _ in range(100)}
            assert results == {each.address for each in three}

    run(main())
    assert [each.questions for each in three] == [1, 0, 0]


def test_by_default_nobody_is_asked(three: list[Member]) -> None:
    async def main() -> None:
        async with aio.Client(three[0].address) as client:
            assert await submit(client) == three[0].address
            assert names(client) == [three[0].address]

    run(main())
    assert three[0].questions == 0


def test_a_client_goes_on_with_others_when_its_server_dies(three: list[Member]) -> None:
    async def main() -> None:
        async with aio.Client(three[0].address, discover=True) as client:
            await submit(client)
            await told(client)
            three[0].close()
            server = client.servers[0]
            await soon(lambda: not server.connected)
            results = {await submit(client) for _ in range(50)}
            assert results == {each.address for each in three[1:]}

    run(main())


def test_a_loss_makes_a_client_ask_again(three: list[Member]) -> None:
    async def main() -> None:
        async with aio.Client(three[0].address, discover=True) as client:
            await submit(client)
            await told(client)
            for _ in range(50):
                await submit(client)
            with members(1) as (fourth,):
                for each in three[1:]:
                    assert each.tells is not None
                    each.tells = [*each.tells[1:], fourth.address]
                three[0].close()
                server = client.servers[0]
                await soon(lambda: not server.connected)
                assert client._finder is not None
                # Servers may be asked again after a second.
                client._finder._knowledge._asked -= 2.0
                for _ in range(50):
                    await submit(client)
                await told(client)
                assert fourth.address in names(client)

    run(main())


def test_a_server_that_is_gone_is_dropped(three: list[Member]) -> None:
    async def main() -> None:
        async with aio.Client(three[0].address, discover=True) as client:
            await submit(client)
            await told(client)
            for each in three:
                each.tells = [member.address for member in three[:2]]
            third = client.servers[2]
            await third.open()
            look_again(client)
            await submit(client)
            await told(client)
            # It is used as long as there is a connection.
            assert third in client.servers
            three[2].close()
            await soon(lambda: not third.connected)
            look_again(client)
            await submit(client)
            await told(client)
            assert names(client) == [each.address for each in three[:2]]
            with pytest.raises(ConnectionError, match="closed"):
                await third.open()

    run(main())


def test_questions_end_with_the_client(three: list[Member]) -> None:
    three[0].silent = True

    async def main() -> None:
        async with aio.Client(three[0].address, discover=True) as client:
            await submit(client)
            await soon(lambda: three[0].questions)

    run(main())


@pytest.mark.parametrize("silent", [True, False])
def test_a_server_without_clusters_changes_nothing(
    silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "PATIENCE", 0.05)

    async def main() -> None:
        with members(1) as (only,):
            only.tells, only.silent = None, silent
            async with aio.Client(only.address, discover=True) as client:
                for _ in range(3):
                    look_again(client)
                    assert await submit(client) == only.address
                    await told(client)
                assert names(client) == [only.address]
            assert only.questions == 1

    run(main())


def test_without_a_server_the_error_is_the_same() -> None:
    async def main() -> None:
        async with aio.Client(unanswered(), discover=True) as client:
            with pytest.raises(ServerUnavailable):
                await submit(client)

    run(main())


def test_the_admin_client_shows_a_cluster(three: list[Member]) -> None:
    async def main() -> None:
        async with aio.Admin(three[0].address) as admin:
            rows = await admin.cluster()
            assert [row.get("address") for row in rows] == [
                *(None, *(each.address for each in three))
            ]

    run(main())


def worker_of(address: str) -> aio.Worker:
    def nothing(job: RunningJob) -> None:
        return None

    worker = aio.Worker(address, discover=True)
    worker.register("f", nothing)
    return worker


def test_a_worker_connects_to_all_servers(three: list[Member]) -> None:
    async def main() -> None:
        worker = worker_of(three[0].address)
        work = asyncio.create_task(worker.work())
        await soon(lambda: all("PRE_SLEEP" in each.names for each in three))
        # The connection of a question may still be open.
        await soon(lambda: [each.peers for each in three] == [1, 1, 1])
        await end(worker, work)

    run(main())


def test_a_worker_asks_again_after_a_loss_and_drops_what_is_gone(
    three: list[Member],
) -> None:
    async def main() -> None:
        worker = worker_of(three[1].address)
        work = asyncio.create_task(worker.work())
        await soon(lambda: len(names(worker)) == 3)
        await soon(lambda: all(server.connected for server in worker.servers))
        with members(1) as (fourth,):
            for each in three[1:]:
                each.tells = [three[1].address, three[2].address, fourth.address]
            assert worker._finder is not None
            worker._finder._knowledge._asked -= 2.0
            three[0].close()
            await soon(lambda: fourth.peers == 1)
            assert three[0].address not in names(worker)
            assert len(worker._serving) == 3
            assert not worker._problems
            await end(worker, work)

    run(main())


def test_a_worker_asks_again_when_it_is_time(
    three: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "_INTERVAL", 0.05)

    async def main() -> None:
        three[0].tells = [three[0].address]
        worker = worker_of(three[0].address)
        work = asyncio.create_task(worker.work())
        await soon(lambda: three[0].questions > 1)
        three[0].tells = [each.address for each in three]
        await soon(lambda: all(each.peers for each in three))
        await end(worker, work)

    run(main())
