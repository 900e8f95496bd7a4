"""Links between processes: they are opened, and opened again after they were cut."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.process import Server
from tests.queues.backend_postgres import Cluster, Database, cluster
from tests.servers import DEADLINE
from tests.wire import Peer

from .fleet import Fleet, fleet

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


def shown(server: Server) -> list[dict[str, object]]:
    with Peer(server.port) as peer:
        return [json.loads(line) for line in peer.ask_list(b"show cluster")]


async def linked(running: Fleet, state: str) -> None:
    """Return when the links of each server to all others are in this state."""
    async with asyncio.timeout(DEADLINE):
        for server in running.servers:
            while True:
                first, *others = await asyncio.to_thread(shown, server)
                links = sorted(str(other["link"]) for other in others)
                if links == sorted(["self", *[state] * (len(others) - 1)]):
                    break
                await asyncio.sleep(0.02)
            assert (first["kind"], first["name"], first["unowned"]) == (
                *("cluster", "fleet"),
                0,
            )
            assert sum(int(str(other["owned"])) for other in others) == 64


def test_servers_are_linked_and_linked_again_after_a_cut(
    postgres: Cluster, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("only for this test")
    secret.chmod(0o600)
    options = ["--cluster-secret-file", str(secret)]

    async def run() -> None:
        database = Database(postgres, "linked")
        async with fleet(database, 2, options=options) as running:
            await linked(running, "up")
            proxies = [running.links(server) for server in running.servers]
            for proxy in proxies:
                proxy.cut()
            await linked(running, "down")
            assert sorted(running.owned()) == [32, 32]
            for proxy in proxies:
                proxy.heal()
            await linked(running, "up")

    asyncio.run(run())
