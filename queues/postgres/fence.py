"""The fence of a cluster: only the newest connection of a living member can commit.

Each claim of a server has a row. A commit of that server checks that the row is there,
and locks it until its end. Who takes over its shards removes the row before: that waits
for a commit that is under way, and later ones find no row. A server that gives shards
away does so after its last commit for them.

Each new connection of a server raises the number of its session, which is checked too.
So a statement that still runs for a lost connection cannot follow a statement of the
next connection, although both are of the owner.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from psycopg import Error, OperationalError, errors
from psycopg.sql import SQL, Composed, Identifier

from gearman.errors import Fenced, StartupError
from gearman.queue import SHARDS

from .session import COLLISIONS, Connection, settled
from .tables import Table, beside, create_schema, find

SUFFIXES: Final = ("cluster", "servers", "leases", "shards")

# Two tables for a server, since renewals should not wait for commits.
CREATE: Final = (
    SQL("""
    CREATE TABLE IF NOT EXISTS {cluster} (
        one smallint PRIMARY KEY, name text NOT NULL, shards smallint NOT NULL,
        epoch bigint NOT NULL
    )
    """),
    SQL("""
    CREATE TABLE IF NOT EXISTS {servers} (
        id bigint PRIMARY KEY, address text NOT NULL, epoch bigint NOT NULL,
        session bigint NOT NULL, backend_pid int, backend_start timestamptz,
        draining boolean NOT NULL, joined timestamptz NOT NULL
    )
    """),
    SQL("""
    CREATE TABLE IF NOT EXISTS {leases} (
        id bigint PRIMARY KEY, renewals bigint NOT NULL, expires timestamptz NOT NULL,
        numbers bigint NOT NULL
    )
    """),
    SQL("""
    CREATE TABLE IF NOT EXISTS {shards} (
        shard smallint PRIMARY KEY, server bigint NOT NULL, epoch bigint NOT NULL,
        first_number bigint NOT NULL
    )
    """),
    # Last: what another server sees here is complete.
    SQL("""
    WITH first AS (
        INSERT INTO {cluster} VALUES (1, $1::text, $2::int, 0)
        ON CONFLICT DO NOTHING RETURNING shards
    )
    INSERT INTO {shards} SELECT number, 0, 0, 0
    FROM first, generate_series(0, first.shards - 1) AS number
    """),
)
# What another server does at the same moment; and how often to try again then.
RACES: Final = (
    *(errors.DuplicateObject, errors.DuplicateSchema, errors.DuplicateTable),
    *(errors.DuplicateColumn, errors.UndefinedColumn, errors.UniqueViolation),
    *COLLISIONS,
)
ATTEMPTS: Final = 10

NAME: Final = SQL("SELECT name FROM {cluster}")
COUNT: Final = SQL("SELECT count(*) FROM {shards} WHERE server = $1::bigint")
LOCK: Final = SQL("SELECT session FROM {servers} WHERE id = $1::bigint FOR UPDATE")
BEGIN: Final = SQL("""
    UPDATE {servers} SET session = session + 1, backend_pid = pg_backend_pid(),
        backend_start = (
            SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()
        )
    WHERE id = $1::bigint RETURNING session
""")
LEVEL: Final = "SELECT current_setting('transaction_isolation')"
# It fails, and with it the transaction, if there is no such row.
CHECK: Final = SQL("""
    SELECT 1 / count(*) FROM (
        SELECT 1 FROM {servers} WHERE id = $1::bigint AND session = $2::bigint FOR SHARE
    ) AS fence
""")
END: Final = SQL("""
    SELECT pg_terminate_backend(activity.pid) FROM {servers} AS servers
    JOIN pg_stat_activity AS activity ON activity.pid = servers.backend_pid
        AND activity.backend_start = servers.backend_start
    WHERE servers.id = $1::bigint AND activity.pid <> pg_backend_pid()
""")


@dataclass(frozen=True, slots=True)
class ClusterTables:
    """The tables of the cluster that shares a table of jobs."""

    jobs: Table

    def on(self, statement: SQL) -> Composed:
        """Return a statement with the names of the tables."""
        return statement.format(
            **{
                suffix: Identifier(
                    self.jobs.schema, beside(self.jobs.name, f"_{suffix}")
                )
                for suffix in SUFFIXES
            }
        )

    def name(self, connection: Connection) -> str | None:
        """Return the name of the cluster, None if there is none."""
        there = (self.jobs.schema, beside(self.jobs.name, "_cluster"))
        if not find(connection, there):
            return None
        rows = connection.execute(self.on(NAME)).fetchall()
        return str(rows[0][0]) if rows else None

    def owns_all(self, connection: Connection, id: int) -> bool:
        """Whether a server owns all shards."""
        [(count,)] = connection.execute(self.on(COUNT), [id]).fetchall()
        return bool(count == SHARDS)

    def create(self, connection: Connection, name: str) -> None:
        """Create the tables, unless they exist.

        Raises StartupError if they are those of another cluster.
        """
        known = self.name(connection)
        while known is None:
            raced(lambda: self._create(connection, name))
            known = self.name(connection)
        if known != name:
            raise StartupError(
                f"the table {self.jobs} belongs to the cluster {known!r}: name that"
                " with --cluster, or another table with --postgres-table"
            )

    def _create(self, connection: Connection, name: str) -> None:
        create_schema(connection, self.jobs.schema)
        for statement in CREATE:
            values = [name, SHARDS] if statement is CREATE[-1] else None
            connection.execute(self.on(statement), values)


class Fence:
    """Lets a server commit as long as its claim counts, which is named by its `id`.

    If transactions `may_collide` when they are committed, pipelines need statements for
    their begin and end: psycopg can't leave one if the commit at its end fails.
    """

    def __init__(self, tables: ClusterTables, id: int) -> None:
        self.id = id
        self.may_collide = False
        self._session = 0
        self._lock = tables.on(LOCK)
        self._begin = tables.on(BEGIN)
        self._check = tables.on(CHECK)
        self._tables = tables

    def begin(self, connection: Connection) -> None:
        """Make a connection the only one of this server that can commit.

        Raises Fenced if the server was buried.
        """
        end_backend(connection, self._tables, self.id)

        def change() -> list[tuple[Any, ...]]:
            with connection.transaction():
                # It waits for a commit of an earlier connection.
                connection.execute(self._lock, [self.id])
                return connection.execute(self._begin, [self.id]).fetchall()

        rows = settled(change)
        if not rows:
            raise fenced()
        self._session = rows[0][0]
        [(level,)] = connection.execute(LEVEL).fetchall()
        self.may_collide = level != "read committed"

    def check(self, connection: Connection) -> None:
        """Execute a statement that fails if another connection may commit.

        It fails with DivisionByZero, after which the transaction can't be committed.
        """
        connection.execute(self._check, [self.id, self._session], prepare=True)


def raced(action: Callable[[], None]) -> None:
    """Create something that another server may create at the same moment."""
    for _ in range(ATTEMPTS):
        try:
            return action()
        except RACES:
            # It is there now, or a part of it.
            pass
    return action()


def fenced() -> Fenced:
    return Fenced("another server of the cluster owns the jobs")


def end_backend(connection: Connection, tables: ClusterTables, id: int) -> None:
    """End the process of Postgres that works for the last connection of a server.

    The machine of that server may be stopped in the middle of a commit, whose locks
    would last as long. If this role may not end it, or if this engine can't, the
    server has to wait for the locks.
    """
    try:
        with connection.transaction():
            connection.execute(tables.on(END), [id])
    except OperationalError:
        raise
    except Error:
        pass
