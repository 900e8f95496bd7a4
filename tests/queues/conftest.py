"""Stores, one for each test, and databases."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from .backend import Backend
from .backend_postgres import Cluster, Database, cluster
from .backends import BACKENDS


@pytest.fixture(scope="session", params=BACKENDS)
def backend(
    request: pytest.FixtureRequest, backends: Callable[[str], Backend]
) -> Backend:
    return backends(request.param)


DATABASES = map("test{}".format, count())


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture
def database(running_cluster: Cluster) -> Database:
    """A new database, of a Postgres that runs."""
    if running_cluster.process.poll() is not None:
        running_cluster.start()
    return Database(running_cluster, next(DATABASES))
