"""A relay passes jobs on to a cluster."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.queues.backend_postgres import Cluster, cluster
from tests.wire import Peer

from .anywhere import Site, site, take, until

JOBS = 300

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


def relay_to(three: Site, folder: Path) -> str:
    """Write a settings file for a relay that tries the servers in turn."""
    addresses = [f"{servers.HOST}:{server.port}" for server in three.servers]
    file = folder / "settings.toml"
    file.write_text(
        f'[relay.central]\nservers = {json.dumps(addresses)}\nfunctions = ["f"]\n'
    )
    return str(file)


def submit(peer: Peer, jobs: range) -> None:
    for number in jobs:
        peer.send("SUBMIT_JOB_BG", b"f", b"", b"%d" % number)
    for _ in jobs:
        peer.expect("JOB_CREATED")


def unanswered(peer: Peer) -> int:
    rows = map(json.loads, peer.ask_list(b"show stats"))
    ((relay,),) = [row["relays"] for row in rows if "relays" in row]
    return int(relay["waiting"] + relay["unanswered"])


def work(worker: Peer, done: Counter[int], jobs: int) -> None:
    """Do jobs until there were so many different ones."""
    while len(done) < jobs:
        handle, _, workload = take(worker)
        done[int(workload)] += 1
        worker.send("WORK_COMPLETE", handle, b"")


def test_jobs_outlive_the_server_that_a_relay_uses(
    postgres: Cluster, tmp_path: Path
) -> None:
    done: Counter[int] = Counter()
    store = "-q", "sqlite", "--sqlite-db", str(tmp_path / "jobs.db")
    with site(postgres, tmp_path, "relayed") as three:
        first, *others = three.servers
        settings = relay_to(three, tmp_path)
        with (
            servers.ours(*store, "--settings", settings) as relay,
            Peer(relay.port) as client,
        ):
            submit(client, range(JOBS))
            with Peer(others[1].port) as worker:
                worker.send("CAN_DO", b"f")
                work(worker, done, JOBS)
            assert set(done.values()) == {1}
            submit(client, range(JOBS, 2 * JOBS))
            three.do(three.fleet.remove(first, signal.SIGKILL))
            submit(client, range(2 * JOBS, 3 * JOBS))
            until(lambda: not unanswered(client))
            for server in others:
                with Peer(server.port) as worker:
                    worker.send("CAN_DO", b"f")
                    work(worker, done, 3 * JOBS)
            assert set(done) == set(range(3 * JOBS))
