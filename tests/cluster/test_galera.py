"""Servers share the jobs over three nodes of Galera, some of which fail."""

import asyncio
import signal

import pytest

from tests.queues.backend_galera import GaleraDatabase

from .test_takeover import HELD, JOBS, play

pytestmark = [pytest.mark.interop, pytest.mark.any_build]

# More than the nodes need to do without one that is gone.
LEASE = 4.0


@pytest.fixture
def running(galera):
    galera.heal()
    return galera


def test_servers_of_a_node_that_is_cut_off_are_fenced(running):
    database = GaleraDatabase(running.nodes[1], "cut", running, alone=True)

    async def story(fleet):
        old, *others = fleet.servers
        await asyncio.to_thread(running.nodes[0].isolate)
        await old.says("the lease of the cluster cannot be asked for")
        await old.says(HELD)
        async with asyncio.timeout(30):
            while not any(other.said("has not renewed its lease") for other in others):
                await asyncio.sleep(0.05)
        await fleet.ended(JOBS)
        await asyncio.to_thread(running.heal)
        await old.says("has joined the cluster", 2)
        await fleet.balanced()

    play(database, story, servers=3, lease=LEASE)


def test_servers_go_on_when_a_node_is_killed(running):
    database = GaleraDatabase(running.nodes[1], "killed", running)

    async def story(fleet):
        await asyncio.to_thread(running.nodes[0].stop, signal.SIGKILL)
        await fleet.ended(5 * JOBS)
        assert not any(server.said("another server") for server in fleet.servers)

    play(database, story, lease=3 * LEASE)
