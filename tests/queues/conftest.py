"""Back ends, which are started once, and a new store for each test."""

from collections.abc import Iterator
from itertools import count

import pytest

from .backend import Backend, Store
from .backend_postgres import Cluster, Database, cluster
from .backends import BACKENDS


@pytest.fixture(scope="session", params=BACKENDS)
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    folder = tmp_path_factory.mktemp(request.param)
    with BACKENDS[request.param](folder) as backend:
        yield backend


@pytest.fixture
def store(backend: Backend) -> Iterator[Store]:
    with backend.store() as store:
        yield store


DATABASES = map("test{}".format, count())


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture
def database(running_cluster: Cluster) -> Database:
    """A new database in a running Postgres."""
    if running_cluster.process.poll() is not None:
        running_cluster.start()
    return Database(running_cluster, next(DATABASES))
