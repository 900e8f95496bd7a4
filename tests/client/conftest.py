"""Servers for the tests of clients, and the library that this one replaces."""

from collections.abc import Iterator
from itertools import count

import pytest

import gearman
from tests import servers
from tests.client.python2.original import Original, find_original
from tests.servers import Server

_numbers = count()


@pytest.fixture(scope="session")
def original(pytestconfig: pytest.Config) -> Original:
    assert pytestconfig.cache is not None
    return find_original(pytestconfig.cache.mkdir("python-gearman-2.0.2"))


@pytest.fixture(
    scope="session",
    params=["ours", pytest.param("gearmand", marks=pytest.mark.interop)],
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that all tests share; each test has tasks of its own."""
    with servers.ours() if request.param == "ours" else servers.gearmand() as started:
        yield started


@pytest.fixture
def task() -> str:
    """The name of a task that no other test uses."""
    return f"task-{next(_numbers)}"


@pytest.fixture
def client(server: Server) -> Iterator[gearman.GearmanClient]:
    with gearman.GearmanClient([server.address]) as client:
        yield client


@pytest.fixture
def worker(server: Server) -> Iterator[gearman.GearmanWorker]:
    with gearman.GearmanWorker([server.address]) as worker:
        yield worker


@pytest.fixture
def admin(server: Server) -> Iterator[gearman.GearmanAdminClient]:
    with gearman.GearmanAdminClient([server.address]) as admin:
        yield admin
