"""Settings and limits of functions at three real servers of a cluster."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash.process import Server
from tests.queues.backend_postgres import Cluster, cluster
from tests.wire import Peer

from .anywhere import Site, numbers, shown, site, skip, until
from .test_anywhere import connect, submit_background, worker_at

pytestmark = pytest.mark.interop

OK = b"OK\r\n"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture
def three(postgres: Cluster, tmp_path: Path) -> Iterator[Site]:
    with site(postgres, tmp_path, "policies") as found:
        yield found


@pytest.fixture
def peers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def ask(server: Server, line: bytes) -> bytes:
    with Peer(server.port) as peer:
        return peer.ask(line)


def done_by(server: Server, line: bytes) -> None:
    """Give a server a command until it is done.

    It may not know yet that another server has the settings, or that may not answer in
    time: then it says to try again.
    """
    until(lambda: ask(server, line) == OK)


def policies(server: Server) -> list[bytes]:
    with Peer(server.port) as peer:
        return peer.ask_list(b"show policies")


def keeper(three: Site) -> Server:
    """Return the server that owns shard 0."""
    for server in three.servers:
        for line in shown(server):
            if line.get("link") == "self" and 0 in numbers(str(line["shards"])):
                return server
    raise AssertionError("nobody owns shard 0")


def grabbed(worker: Peer) -> bytes | None:
    worker.send("GRAB_JOB")
    found = skip(worker, "NOOP")
    return found.arguments[0] if found.name == "JOB_ASSIGN" else None


def test_settings_and_limits_hold_for_all_servers_and_outlive_the_owner(three, peers):
    owner = keeper(three)
    others = [server for server in three.servers if server is not owner]
    for number, server in enumerate(three.servers):
        done_by(server, b"set function f%d retries=2" % number)
    done_by(others[0], b"set function f max-running=2")
    wanted = [b"f%d\tretries=2" % number for number in range(3)]
    wanted.append(b"f\tmax-running=2")
    until(lambda: all(policies(server) == wanted for server in three.servers))

    workers = [worker_at(peers, s, b"f") for s in three.servers for _ in range(2)]
    for server in three.servers:
        client = connect(peers, server)
        for _ in range(4):
            submit_background(client, b"f", b"", b"x")
    running: dict[Peer, bytes] = {}
    done = 0
    deadline = time.monotonic() + 30
    while done < 12:
        assert time.monotonic() < deadline, done
        for worker in workers:
            if worker in running:
                worker.send("WORK_COMPLETE", running.pop(worker), b"")
                done += 1
            elif (handle := grabbed(worker)) is not None:
                running[worker] = handle
                assert len(running) <= 2
        time.sleep(0.01)

    three.do(three.fleet.remove(owner, signal.SIGKILL))
    until(lambda: three.fleet.owned() == [32, 32])
    three.linked()
    done_by(others[1], b"unset function f0")
    until(lambda: all(sorted(policies(s)) == sorted(wanted[1:]) for s in others))
