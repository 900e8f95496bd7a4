"""Clients and workers that are given one server of a cluster learn the other one."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gearman
from gearman import aio
from gearman.errors import ServerUnavailable
from tests.client.stage import working
from tests.queues.backend_postgres import Cluster, Database, cluster
from tests.servers import DEADLINE, HOST, until

from .fleet import LONG_LEASE, Fleet, fleet

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


def places(connections: Any) -> list[tuple[str, int]]:
    return [each.get_address() for each in connections]


def blocking(running: Fleet) -> None:
    """Use the servers, of which one is given, and then without that one."""
    first, second = running.servers
    # Each server tells of itself by another name than the one that is given.
    told = [(HOST, first.port), (HOST, running.links(second).port)]
    given = [f"{HOST}:{first.port}"]
    worker = gearman.GearmanWorker(given, discover=True, reconnect=True)
    worker.register_task("echo", lambda worker, job: job.data)
    with working(worker), gearman.GearmanClient(given, discover=True) as client:
        until(lambda: len([c for c in worker.connection_list if c.connected]) == 2)
        assert places(worker.connection_list) == told
        used: set[Any] = set()
        while len(used) < 2:
            request = client.submit_job("echo", "x", poll_timeout=DEADLINE)
            assert request.result == "x"
            used.add(request.job.connection)
        assert places(client.connection_list) == told
        os.kill(first.process.pid, signal.SIGKILL)
        until(lambda: _submit(client) and not client.connection_list[0].connected)
        assert client.connection_list[1].connected


def _submit(client: gearman.GearmanClient) -> bool:
    """Run a job, which may be lost with its server; return whether it was done."""
    try:
        request = client.submit_job("echo", "x", max_retries=3, poll_timeout=DEADLINE)
    except ServerUnavailable:
        return False
    return bool(request.result == "x")


async def asynchronous(running: Fleet) -> None:
    given = f"{HOST}:{running.servers[0].port}"
    told = [(HOST, running.servers[0].port)]
    told.append((HOST, running.links(running.servers[1]).port))
    worker = aio.Worker(given, discover=True)
    worker.register("aecho", lambda job: job.workload)
    work = asyncio.create_task(worker.work())
    async with asyncio.timeout(DEADLINE), aio.Client(given, discover=True) as client:
        while not (
            len(worker.servers) == 2 and all(s.connected for s in worker.servers)
        ):
            await asyncio.sleep(0.01)
        assert places(worker.servers) == told
        while sum(server.connected for server in client.servers) < 2:
            assert await client.call("aecho", "x") == b"x"
        assert places(client.servers) == told
    worker.stop()
    await work


def test_one_address_is_enough(postgres: Cluster, tmp_path: Path) -> None:
    async def run() -> None:
        database = Database(postgres, "discovery")
        async with fleet(database, 2, LONG_LEASE) as running:
            await asynchronous(running)
            await asyncio.to_thread(blocking, running)

    asyncio.run(run())
