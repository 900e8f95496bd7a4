"""Links between processes: they are opened, and opened again after they were cut."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.process import Server
from tests.queues.backend_postgres import Cluster, Database, cluster
from tests.servers import DEADLINE

from .anywhere import shown
from .fleet import LONG_LEASE, Fleet, fleet

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


def is_linked(server: Server, state: str) -> bool:
    """Whether all links of a server are in this state, and each shard has an owner."""
    first, *others = shown(server)
    assert (first["kind"], first["name"]) == ("cluster", "fleet")
    links = sorted(str(other["link"]) for other in others)
    owned = sum(int(str(other["owned"])) for other in others)
    wanted = sorted(["self", *[state] * (len(others) - 1)])
    return (links, first["unowned"], owned) == (wanted, 0, 64)


async def linked(running: Fleet, state: str) -> None:
    """Return when the links of each server to all others are in this state."""
    async with asyncio.timeout(DEADLINE):
        for server in running.servers:
            while not await asyncio.to_thread(is_linked, server, state):
                await asyncio.sleep(0.02)


def test_servers_are_linked_and_linked_again_after_a_cut(
    postgres: Cluster, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("only for this test")
    secret.chmod(0o600)
    options = ["--cluster-secret-file", str(secret)]

    async def run() -> None:
        database = Database(postgres, "linked")
        async with fleet(database, 2, LONG_LEASE, options=options) as running:
            await linked(running, "up")
            proxies = [running.links(server) for server in running.servers]
            for proxy in proxies:
                proxy.cut()
            await linked(running, "down")
            assert running.owned() == [32, 32]
            for proxy in proxies:
                proxy.heal()
            await linked(running, "up")

    asyncio.run(run())
