"""A new store for each test, and databases."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from typing import Any

import pytest

from .backend import Backend
from .backend_mysql import Daemon, daemon
from .backend_mysql import Database as MysqlDatabase
from .backend_postgres import Cluster, Database, cluster
from .backend_redis import Redis, running
from .backends import BACKENDS, marked
from .shared_tables import Table, server_of
from .test_register_contract import ONE, TWO, Server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores in this process wait shortly for what another one has locked."""
    monkeypatch.setattr("gearman.queues.sqlite.file._PATIENCE", 0.1)
    if find_spec("psycopg") is not None:
        session = import_module("gearman.queues.postgres.session")
        monkeypatch.setitem(session.SETTINGS, "lock_timeout", "200ms")
    if find_spec("pymysql") is not None:
        for module in "alone", "connection":
            monkeypatch.setattr(f"gearman.queues.mysql.{module}.LOCK", 1)


# Those that are other programs have mark.any_python.
@pytest.fixture(scope="session", params=marked(BACKENDS))
def backend(
    request: pytest.FixtureRequest, backends: Callable[[str], Backend]
) -> Backend:
    return backends(request.param)


DATABASES = map("test{}".format, count())


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(scope="session")
def clean_databases() -> list[Database]:
    """Databases that tests have used, and that are as new."""
    return []


@pytest.fixture
def database(
    running_cluster: Cluster, clean_databases: list[Database]
) -> Iterator[Database]:
    """A database in a running Postgres, as new."""
    if running_cluster.process.poll() is not None:
        running_cluster.start()
    found = clean_databases.pop() if clean_databases else None
    found = found or Database(running_cluster, next(DATABASES))
    yield found
    if found.clean():
        clean_databases.append(found)


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


@pytest.fixture
def server(table: Table) -> Iterator[Callable[..., Server]]:
    """A function that makes a server; all of them share a table."""
    with ExitStack() as stack:

        def make(name: str = "one:1", **options: Any) -> Server:
            return stack.enter_context(closing(server_of(table, name, **options)))

        yield make


@pytest.fixture
def two(server: Callable[..., Server]) -> tuple[Server, Server]:
    """An owner of all with two jobs, and a server that has joined."""
    one = server()
    assert one.owns() == []
    one.queue.commit([ONE, TWO], [])
    return one, server("two:2").joins()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A server for the tests of a module."""
    with running(tmp_path_factory.mktemp("redis")) as redis:
        yield redis
