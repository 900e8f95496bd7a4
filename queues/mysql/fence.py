"""The fence of a cluster: only the newest connection of a living member can commit.

Each claim of a server has a row. A commit of that server changes the row. Who takes
over its shards removes the row before: that waits for a commit that is under way, and
later ones find no row. A server that gives shards away does so after its last commit
for them.

It is a change, and not a lock, because of Galera: a lock is one of a single node. There
a commit and the removal on different nodes collide, and the later one is rolled back.

Each new connection of a server raises the number of its session, which is checked too.
So a statement that still runs for a lost connection cannot follow a statement of the
next connection, although both are of the owner.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import partial
from typing import Final

from gearman.errors import Fenced, QueueError, StartupError
from gearman.queue import SHARDS

from .connection import SEVERAL_ROWS, UNKNOWN_VARIABLE, Connection, DatabaseError
from .session import settled
from .statements import BEGIN, COMMIT, identifier, quoted
from .tables import beside, find

SUFFIXES: Final = ("cluster", "servers", "leases", "shards")

# Two tables for a server, since renewals should not wait for commits. Times are those
# of UTC.
CREATE: Final = (
    """
    CREATE TABLE IF NOT EXISTS {cluster} (
        one TINYINT PRIMARY KEY, name VARBINARY(64) NOT NULL,
        shards SMALLINT NOT NULL, epoch BIGINT NOT NULL
    ) ENGINE = InnoDB
    """,
    """
    CREATE TABLE IF NOT EXISTS {servers} (
        id BIGINT PRIMARY KEY, address VARBINARY(512) NOT NULL,
        epoch BIGINT NOT NULL, session BIGINT NOT NULL, commits BIGINT NOT NULL,
        draining TINYINT NOT NULL, joined DATETIME(6) NOT NULL
    ) ENGINE = InnoDB
    """,
    """
    CREATE TABLE IF NOT EXISTS {leases} (
        id BIGINT PRIMARY KEY, renewals BIGINT NOT NULL, expires DATETIME(6) NOT NULL,
        numbers BIGINT NOT NULL
    ) ENGINE = InnoDB
    """,
    """
    CREATE TABLE IF NOT EXISTS {shards} (
        shard SMALLINT PRIMARY KEY, server BIGINT NOT NULL, epoch BIGINT NOT NULL,
        first_number BIGINT NOT NULL
    ) ENGINE = InnoDB
    """,
)
# In this order: what another server sees is complete.
FILL: Final = (
    "INSERT IGNORE INTO {shards} VALUES "
    + ", ".join(f"({shard}, 0, 0, 0)" for shard in range(SHARDS)),
    "INSERT IGNORE INTO {cluster} VALUES (1, {name}, {count}, 0)",
)

NAME: Final = "SELECT name FROM {cluster}"
COUNT: Final = "SELECT COUNT(*) FROM {shards} WHERE server = {id}"
NEXT_SESSION: Final = "UPDATE {servers} SET session = session + 1 WHERE id = {id}"
SESSION: Final = "SELECT session FROM {servers} WHERE id = {id}"
CHECK: Final = (
    "UPDATE {servers} SET commits = commits + 1 WHERE id = {id} AND session = {session}"
)
# It fails if there is no such row. DO would hide the error. The variable is for those
# who want to know in a trigger which server commits.
DEMAND: Final = "SET @fence = IF(ROW_COUNT() = 1, {id}, (SELECT 1 UNION SELECT 2))"

# Of Galera: reads, changes and removals wait until this node has done what others have
# committed before.
WAIT: Final = b"SET SESSION wsrep_sync_wait = 3"
DO_NOT_WAIT: Final = b"SET SESSION wsrep_sync_wait = 0"


class ClusterTables:
    """The tables of the cluster that shares a table of jobs."""

    def __init__(self, jobs: str) -> None:
        self._jobs = jobs
        self._names = {
            suffix: identifier(beside(jobs, f"_{suffix}")).decode()
            for suffix in SUFFIXES
        }

    def on(self, statement: str, **values: float | str | AbstractSet[int]) -> bytes:
        """Return a statement with the names of the tables, and with values."""
        texts = {name: written(value) for name, value in values.items()}
        return statement.format(**self._names, **texts).encode()

    def name(self, connection: Connection) -> str | None:
        """Return the name of the cluster, None if there is none."""
        if find(connection, beside(self._jobs, "_cluster")) is None:
            return None
        rows = connection.rows(self.on(NAME))
        return str(rows[0][0], "utf-8") if rows else None

    def owns_all(self, connection: Connection, id: int) -> bool:
        """Whether a server owns all shards."""
        [(count,)] = connection.rows(self.on(COUNT, id=id))
        return bool(count == SHARDS)

    def create(self, connection: Connection, name: str) -> None:
        """Create the tables, unless they exist.

        Raises StartupError if they are those of another cluster.
        """
        known = self.name(connection)
        if known is None:
            for statement in CREATE:
                connection.run(self.on(statement))
            for statement in FILL:
                fill = self.on(statement, name=name, count=SHARDS)
                settled(connection, partial(connection.run, fill))
            known = self.name(connection)
        if known != name:
            raise StartupError(
                f"the table {self._jobs} belongs to the cluster {known!r}: name that"
                " with --cluster, or another table with --mysql-table"
            )


def written(value: float | str | AbstractSet[int]) -> str:
    """Return a value as SQL has it; for a set, the numbers of a list."""
    if isinstance(value, str):
        return quoted(value.encode()).decode()
    if isinstance(value, AbstractSet):
        return ", ".join(map(str, sorted(value)))
    return str(value)


class Fence:
    """Lets a server commit as long as its claim counts, which is named by its `id`."""

    def __init__(self, tables: ClusterTables, id: int) -> None:
        self.id = id
        self._session = 0
        self._tables = tables

    def begin(self, connection: Connection) -> None:
        """Make a connection the only one of this server that can commit.

        Raises Fenced if the server was buried.
        """
        with up_to_date(connection):
            self._session = settled(connection, partial(self._begin, connection))

    def _begin(self, connection: Connection) -> int:
        connection.run(BEGIN)
        # It waits for a commit of an earlier connection.
        connection.run(self._tables.on(NEXT_SESSION, id=self.id))
        rows = connection.rows(self._tables.on(SESSION, id=self.id))
        connection.run(COMMIT)
        if not rows:
            raise fenced()
        return int(rows[0][0])

    def checks(self) -> list[bytes]:
        check = self._tables.on(CHECK, id=self.id, session=self._session)
        return [check, self._tables.on(DEMAND, id=self.id)]

    def refused(self, error: DatabaseError) -> QueueError | None:
        return fenced() if error.code == SEVERAL_ROWS else None

    def missed(self, connection: Connection) -> None:
        """Do nothing: the check has failed."""


def fenced() -> Fenced:
    return Fenced("another server of the cluster owns the jobs")


def wait_for_others(connection: Connection) -> bool:
    """Have statements of a node of Galera wait for what others have committed before.

    Returns False if the database knows nothing of Galera.
    """
    try:
        connection.run(WAIT)
    except DatabaseError as error:
        if error.code != UNKNOWN_VARIABLE:
            raise
        return False
    return True


@contextmanager
def up_to_date(connection: Connection) -> Iterator[None]:
    """A context in which a node of Galera knows what others have committed before."""
    waits = wait_for_others(connection)
    yield
    if waits:
        connection.run(DO_NOT_WAIT)
