"""Unchanged clients in PHP, Perl and C, each at another server than the worker."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.interop.programs import (
    Outcome,
    Program,
    compiled,
    run,
    submit,
    worker,
)
from tests.queues.backend_postgres import cluster
from tests.wire import Peer

from .anywhere import Site, site, take, until

KINDS = ("c", "php", "perl")

FAR_FUTURE = "4000000000"

pytestmark = pytest.mark.interop
by_worker = pytest.mark.parametrize("worker_kind", KINDS)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("foreign")
    with cluster() as postgres, site(postgres, folder, "unchanged") as found:
        yield found


@by_worker
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


@by_worker
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


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a program in C."""
    return compiled(tmp_path_factory.mktemp("features"))


class TestLibgearman:
    """A program in C, at other servers than those that do its jobs."""

    def test_a_job_is_done_elsewhere(self, three: Site, program: str) -> None:
        here, there = map(as_any, three.servers[:2])
        with worker("php", there, "upper"):
            assert run(program, "call", str(here.port), "upper") == "done\n"

    def test_a_job_is_tried_again_after_its_worker_was_lost(
        self, three: Site, program: str
    ) -> None:
        here, there = (str(server.port) for server in three.servers[:2])
        with (
            Program(program, "stumble", there, "stumble", "1") as worker,
            Program(program, "call", here, "stumble") as client,
        ):
            assert [worker.line(), worker.line()] == ["attempt", "attempt"]
            assert client.line() == "done"

    def test_status_by_unique_is_that_of_any_server(
        self, three: Site, program: str
    ) -> None:
        here, home, there = three.servers
        key = three.unique_of(home).decode()
        arguments = "status", key, "work", FAR_FUTURE
        assert run(program, "epoch", str(here.port), *arguments).strip()
        assert run(program, "status", str(there.port), key) == "1 0 0 0\n"
        name = three.unique_of(home)
        with Peer(here.port) as client, Peer(there.port) as worker:
            client.send("SUBMIT_JOB", b"progress", name, b"")
            client.expect("JOB_CREATED")
            worker.send("CAN_DO", b"progress")
            handle = take(worker)[0]
            worker.send("WORK_STATUS", handle, b"2", b"7")
            client.expect("WORK_STATUS")
            for server in three.servers:
                told = run(program, "status", str(server.port), name.decode())
                assert told == "1 1 2 7\n"
            worker.send("WORK_COMPLETE", handle, b"")
            client.expect("WORK_COMPLETE")

    def test_a_job_is_divided_at_one_server_and_reduced_at_others(
        self, three: Site, program: str
    ) -> None:
        here, splits, works = map(as_any, three.servers)
        divide = "divide", str(splits.port), "words"
        with worker("php", works, "upper"), Program(program, *divide):
            words = "words", "upper", "one two three"
            assert run(program, "reduce", str(here.port), *words) == "THREETWOONE\n"


def as_any(server: object) -> Any:
    """Pass for the other class of servers of tests."""
    return server


def _clients(peer: Peer, unique: bytes) -> bytes:
    return peer.request("GET_STATUS_UNIQUE", unique).arguments[-1]
