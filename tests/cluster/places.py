"""New databases for a cluster that has to survive faults, by the name of the queue."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from tests.queues import backend_galera, backend_mysql

from .grounds import Database
from .standby import pair


class Place(NamedTuple):
    """Something that runs a database and yields it, and the lease of servers there."""

    database: Callable[[], AbstractContextManager[Database]]
    lease: float


@contextmanager
def postgres() -> Iterator[Database]:
    """Yield a database with a synchronous standby."""
    with pair("jobs") as running:
        yield running


@contextmanager
def mariadb() -> Iterator[Database]:
    with backend_mysql.daemon() as daemon:
        yield backend_mysql.Database(daemon, "jobs")


@contextmanager
def galera() -> Iterator[Database]:
    with backend_galera.galera() as running:
        yield backend_galera.GaleraDatabase(running.nodes[1], "jobs", running)


PLACES: Mapping[str, Place] = {
    "postgres": Place(postgres, 1.0),
    "mysql": Place(mariadb, 1.0),
    # Twice the time after which nodes do without another one.
    "galera": Place(galera, 2.0 * backend_galera.SUSPECT),
}
