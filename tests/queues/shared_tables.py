"""Tables that servers of a cluster share, and what such a server does with one."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gearman.queue import Cluster, Queue, load

from . import backend_mysql, backend_postgres
from .test_register_contract import ALL, LEASE, Server


@dataclass(frozen=True)
class Table:
    """A table in a new database.

    `past` is an expression of SQL for a time that is over, and `sessions` a statement
    for each session of the plugin that ends it.
    """

    plugin: str
    arguments: Mapping[str, Any]
    sql: Callable[..., list[tuple[Any, ...]]]
    past: str
    sessions: str

    def numbers(self) -> list[int]:
        """Return the numbers of the stored jobs."""
        rows = self.sql("SELECT number FROM gearman_jobs WHERE number > 0 ORDER BY 1")
        return [number for (number,) in rows]

    def let_the_leases_end(self) -> None:
        self.sql(f"UPDATE gearman_jobs_leases SET expires = {self.past}")

    def end_sessions(self) -> None:
        """End the connections of all servers."""
        for (statement,) in self.sql(self.sessions):
            # It may have ended meanwhile.
            with suppress(Exception):
                self.sql(statement)


def in_postgres(database: backend_postgres.Database) -> Table:
    return Table(
        "postgres",
        {"conninfo": database.conninfo},
        database.sql,
        "now() - interval '1 s'",
        "SELECT 'SELECT pg_terminate_backend(' || pid || ')' FROM pg_stat_activity"
        " WHERE application_name = 'gearmand' AND datname = current_database()",
    )


def in_mysql(database: backend_mysql.Database) -> Table:
    return Table(
        "mysql",
        database.tcp,
        database.sql,
        "UTC_TIMESTAMP(6) - INTERVAL 1 SECOND",
        "SELECT CONCAT('KILL ', id) FROM information_schema.processlist"
        f" WHERE db = DATABASE() AND user = '{backend_mysql.USER}'",
    )


def server_of(
    table: Table,
    name: str,
    /,
    *,
    cluster: str = "fleet",
    lease: float = LEASE,
    **options: Any,
) -> Server:
    """Return a server that uses a table, with these options of the plugin."""
    plugin: Any = load(table.plugin)
    arguments = {**table.arguments, **options}

    def open_queue(own: Cluster) -> Any:
        return plugin(**arguments, cluster=own._replace(name=cluster, lease=lease))

    return Server(open_queue, name)


def takes_over(heir: Server, dead: Server) -> list[object]:
    """Bury a server, own its shards, and return their jobs."""
    assert heir.buries(dead)
    heir.register.take(ALL)
    return heir.takes_up()


def alone(table: Table, /, **options: str) -> Queue:
    """Open a store without a cluster."""
    return load(table.plugin)(**{**table.arguments, **options})
