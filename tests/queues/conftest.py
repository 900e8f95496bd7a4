"""A new store for each test, and databases."""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import count

import pytest

from .backend import Backend
from .backend_mysql import Daemon, daemon
from .backend_mysql import Database as MysqlDatabase
from .backend_postgres import Cluster, Database, cluster
from .backends import BACKENDS


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores in this process wait shortly for what another one has locked."""
    monkeypatch.setattr("gearman.queues.sqlite.file._PATIENCE", 0.1)
    if find_spec("psycopg") is not None:
        session = import_module("gearman.queues.postgres.session")
        monkeypatch.setitem(session.SETTINGS, "lock_timeout", "200ms")
    if find_spec("pymysql") is not None:
        for module in "session", "connection":
            monkeypatch.setattr(f"gearman.queues.mysql.{module}.LOCK", 1)


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
    """A new database in a running Postgres."""
    if running_cluster.process.poll() is not None:
        running_cluster.start()
    return Database(running_cluster, next(DATABASES))


@pytest.fixture(scope="session")
def running_daemon() -> Iterator[Daemon]:
    with daemon() as running:
        yield running


@pytest.fixture
def mysql_database(running_daemon: Daemon) -> MysqlDatabase:
    """A new database in a running MariaDB."""
    if running_daemon.process.poll() is not None:
        running_daemon.start()
    return MysqlDatabase(running_daemon, next(DATABASES))
