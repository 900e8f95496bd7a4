"""What tests note in the database of a cluster."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.queues import backend_mysql, backend_postgres

from .fleet import LONG_LEASE, Fleet, fleet
from .grounds import Database
from .history import NOBODY

pytestmark = [pytest.mark.interop, pytest.mark.any_build]

Make = Callable[[str], Database]


@pytest.fixture(scope="module", params=["postgres", "mysql"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    if request.param == "mysql":
        with backend_mysql.daemon() as daemon:
            yield lambda name: backend_mysql.Database(daemon, name)
    else:
        with backend_postgres.cluster() as cluster:
            yield lambda name: backend_postgres.Database(cluster, name)


def insert(database: Database, server: int) -> None:
    """Insert a job in a transaction of a server, as far as the database can tell."""
    values = "'', 'f', '', 'w', 1, 0, 0, NULL, NULL"
    if isinstance(database, backend_mysql.Database):
        with closing(database.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute("SET @fence = %s", [server])
            cursor.execute(f"INSERT INTO gearman_jobs VALUES (1, 0, {values})")
    else:
        name = f"{database.cluster.local(database.name)} application_name=gearmand"
        psycopg = backend_postgres.psycopg()
        with psycopg.connect(name, autocommit=True) as connection:
            connection.execute(f"INSERT INTO gearman_jobs VALUES (1, {values})")


def test_commit_of_another_server_than_the_owner_is_noted(make: Make) -> None:
    async def story(database: Database) -> None:
        async with fleet(database, 1, LONG_LEASE) as running:
            assert running.broken() == []
            insert(database, 7)
            assert running.broken() == ["a commit of no owner"]

    asyncio.run(story(make("intruder")))


def test_owners_of_shards_and_servers_that_leave_are_noted(make: Make) -> None:
    async def story(database: Database) -> None:
        async with fleet(database, 1, LONG_LEASE) as running:
            [first] = running.servers
            second = await running.add()
            await running.balanced()
            await running.remove(first, signal.SIGTERM)
            await running.balanced()
            owners = owners_of(running)
            old, new = running.name(first), running.name(second)
            assert set(owners) == {old, new, NOBODY}
            assert owners[0] == old
            assert owners[-1] == new
            assert [*running.history.gone] == [old]

    asyncio.run(story(make("changes")))


def owners_of(running: Fleet) -> list[int]:
    """Return the owners of all shards, in the order of their times."""
    running.promises()
    changes = running.history.changes.values()
    found = [change for each in changes for change in each]
    return [change.owner for change in sorted(found, key=lambda change: change.at)]
