"""Unchanged clients in PHP, Perl and C, each at another server than the worker."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.interop.programs import Outcome, Program, submit, worker
from tests.queues.backend_postgres import cluster
from tests.wire import Peer

from .anywhere import Site, site, until

KINDS = ("c", "php", "perl")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.parametrize("worker_kind", KINDS),
]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("foreign")
    with cluster() as postgres, site(postgres, folder, "unchanged") as found:
        yield found


def test_clients_of_all_kinds_get_results_of_a_worker_elsewhere(
    three: Site, worker_kind: str
) -> None:
    *others, there = map(as_any, three.servers)
    with worker(worker_kind, there, "upper"):
        for kind in KINDS:
            for here in others:
                unique = three.unique_of(here).decode()
                with submit(kind, here, "upper", "abc", unique=unique) as job:
                    outcome = job.outcome()
                assert (outcome.result, outcome.failed) == ("ABC", False)
            with submit(kind, here, "upper", "abc", background=True) as job:
                assert job.outcome().handle
        until(lambda: not three.stored())


def test_clients_of_all_kinds_with_one_unique_share_a_job(
    three: Site, worker_kind: str
) -> None:
    for home in three.servers[:2]:
        with worker(worker_kind, as_any(three.servers[0]), "hold") as running:
            _share(three, running, three.unique_of(home), home.port)


def _share(three: Site, running: Program, unique: bytes, port: int) -> None:
    """Have three clients with a unique wait for one job."""
    first, *others = map(as_any, three.servers)
    key = unique.decode()
    with ExitStack() as stack:
        jobs = [submit("php", first, "hold", "abc", unique=key)]
        assert running.line().startswith("holding")
        for kind, server in zip(("perl", "c"), others, strict=True):
            jobs.append(submit(kind, server, "hold", "x", unique=key))
        for job in jobs:
            stack.enter_context(job)
        peer = stack.enter_context(Peer(port))
        until(lambda: _clients(peer, unique) == b"3")
        running.tell("go")
        outcomes = [job.outcome() for job in jobs]
    assert outcomes == [Outcome(outcomes[0].handle, "held abc")] * 3


def as_any(server: object) -> Any:
    """Pass for the other class of servers of tests."""
    return server


def _clients(peer: Peer, unique: bytes) -> bytes:
    return peer.request("GET_STATUS_UNIQUE", unique).arguments[-1]
