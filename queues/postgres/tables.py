"""The table of a queue, and gearmand's table, whose rows are taken over."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from psycopg import errors
from psycopg.sql import SQL, Identifier

from gearman.errors import ConfigurationError, StartupError
from gearman.queue import StoredJob, Unreadable, check

from .session import Connection

DEFAULT: Final = "gearman_jobs"
DEFAULT_OF_GEARMAND: Final = "queue"
SUFFIX: Final = "_jobs"

# Bytes. Postgres truncates longer names, without an error.
LONGEST_NAME: Final = 63

# In the order of the fields of a StoredJob.
COLUMNS: Final = {
    "number": "bigint",
    "handle": "bytea",
    "function_name": "bytea",
    "unique_key": "bytea",
    "workload": "bytea",
    "priority": "smallint",
    "when_to_run": "bigint",
    "retries": "bigint",
    "reducer_name": "bytea",
    "extra": "bytea",
}
# The columns of an earlier version. It does not start with a table that lacks one.
EARLIER_COLUMNS: Final = {
    name.replace("reducer_name", "reducer"): kind
    for name, kind in COLUMNS.items()
    if name != "extra"
}
COLUMNS_OF_GEARMAND: Final = {
    *("unique_key", "function_name", "priority", "data", "when_to_run")
}

# Seconds that taking over gearmand's rows may take.
MIGRATION: Final = 3600

CREATE: Final = SQL("""
    CREATE TABLE {} (
        number bigint PRIMARY KEY,
        handle bytea NOT NULL,
        function_name bytea NOT NULL,
        unique_key bytea NOT NULL,
        workload bytea NOT NULL,
        priority smallint NOT NULL,
        when_to_run bigint NOT NULL,
        retries bigint NOT NULL,
        reducer_name bytea,
        extra bytea
    )
""")

UPGRADE: Final = (
    SQL("ALTER TABLE {} ADD extra bytea"),
    SQL("ALTER TABLE {} RENAME reducer TO reducer_name"),
)

# The argument is a list of names as in SQL. Names without a schema are found by the
# search path.
FIND: Final = """
    SELECT nspname, relname, array_agg(attname::text),
        array_agg(atttypid::regtype::text)
    FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, position)
    JOIN pg_class ON pg_class.oid = to_regclass(wanted.name)
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE attnum > 0 AND NOT attisdropped
    GROUP BY nspname, relname ORDER BY min(position)
"""

# gearmand stores an empty workload as NULL. Its strings are copied byte by byte, as
# gearmand received them. The position of a row (ctid) is the best known approximation
# to the order of submission.
MIGRATE: Final = SQL("""
    WITH moved AS (
        DELETE FROM {theirs}
        WHERE priority IN (0, 1, 2) AND when_to_run >= 0
        AND octet_length(unique_key) <= 64 AND octet_length(function_name) <= 8180
        RETURNING ctid AS place, function_name, unique_key, data, priority, when_to_run
    ), start AS (
        SELECT greatest(
            $1::bigint - (SELECT count(*) FROM {theirs}),
            (SELECT coalesce(max(number), 0) FROM {ours})
        ) AS number
    )
    INSERT INTO {ours} SELECT
        (SELECT number FROM start) + row_number() OVER (ORDER BY place),
        '', convert_to(function_name, getdatabaseencoding()),
        convert_to(unique_key, getdatabaseencoding()), coalesce(data, ''),
        priority, when_to_run, 0, NULL
    FROM moved
""")

SET_LOCAL: Final = "SELECT set_config('statement_timeout', $1::text, true)"

LEFT: Final = SQL("""
    SELECT ctid::text, convert_to(function_name, getdatabaseencoding()),
        convert_to(unique_key, getdatabaseencoding()), priority, when_to_run
    FROM {} ORDER BY ctid
""")


@dataclass(frozen=True, slots=True)
class Table:
    """A table, by its schema and name."""

    schema: str
    name: str

    @property
    def identifier(self) -> Identifier:
        return Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return self.identifier.as_string()


@dataclass(frozen=True, slots=True)
class Found:
    """An existing table, and the types of its columns."""

    table: Table
    columns: dict[str, str]

    @property
    def of_gearmand(self) -> bool:
        return self.columns.keys() >= COLUMNS_OF_GEARMAND

    @property
    def ours(self) -> bool:
        return self.columns.items() >= COLUMNS.items() or self.earlier

    @property
    def earlier(self) -> bool:
        """Whether an earlier version has created it."""
        there = self.columns.items()
        return there >= EARLIER_COLUMNS.items() and "extra" not in self.columns


def check_name(name: str, option: str) -> None:
    """Raise ConfigurationError if Postgres does not allow this name."""
    size = len(name.encode(errors="replace"))
    if size > LONGEST_NAME or "\0" in name or not name.isprintable():
        raise ConfigurationError(
            f"--{option} can't be {name!r}: give a name of printable characters and"
            f" at most {LONGEST_NAME} bytes"
        )


def beside(name: str, suffix: str = SUFFIX) -> str:
    """Return a name for something that belongs to a table.

    With the default, it is the name of our table for a table of gearmand.
    """
    room = LONGEST_NAME - len(suffix)
    return name.encode()[:room].decode(errors="ignore") + suffix


def find(connection: Connection, *names: tuple[str, ...]) -> list[Found]:
    """Return the existing tables with these names, or schemas and names."""
    quoted = [Identifier(*name).as_string() for name in names]
    return [
        Found(Table(schema, name), dict(zip(columns, types, strict=True)))
        for schema, name, columns, types in connection.execute(FIND, [quoted])
    ]


def choose(connection: Connection, schema: str, name: str) -> Table:
    """Return the table for jobs, which may not exist yet.

    If the name is that of a table of gearmand, our table has another name (`beside`),
    and is found even after gearmand's table is gone. Raises StartupError if there is no
    schema.
    """
    schema = schema or current_schema(connection)
    table = Table(schema, name or DEFAULT)
    derived = Table(schema, beside(table.name))
    pair = [(schema, table.name), (schema, derived.name)]
    there = {found.table: found for found in find(connection, *pair)}
    if table in there:
        return derived if there[table].of_gearmand else table
    return derived if derived in there and there[derived].ours else table


def current_schema(connection: Connection) -> str:
    """Return the first schema of the search path; StartupError if there is none."""
    [(schema,)] = connection.execute("SELECT current_schema()")
    if schema is None:
        raise StartupError(
            "the search path of Postgres has no existing schema: name one with"
            " --postgres-schema"
        )
    return str(schema)


def create(connection: Connection, table: Table) -> None:
    """Create a table, and its schema, unless they exist.

    The table of an earlier version gets the columns of this one.
    Raises StartupError if a table of that name has other columns.
    """
    there = find(connection, (table.schema, table.name))
    if not there:
        create_schema(connection, table.schema)
        connection.execute(CREATE.format(table.identifier))
    elif not there[0].ours:
        raise StartupError(
            f"the table {table} has other columns than the queue's: name another one"
            " with --postgres-table"
        )
    elif there[0].earlier:
        _upgrade(connection, table)


def _upgrade(connection: Connection, table: Table) -> None:
    try:
        with connection.transaction():
            for statement in UPGRADE:
                connection.execute(statement.format(table.identifier))
    except errors.InsufficientPrivilege as error:
        raise StartupError(
            f"the table {table} is that of an earlier version, and only its owner can"
            " add a column: start the server once as that role"
        ) from error


def create_schema(connection: Connection, schema: str) -> None:
    """Create a schema unless it exists."""
    # IF NOT EXISTS would need the right to create a schema even if this one exists.
    known = connection.execute(
        "SELECT 1 FROM pg_namespace WHERE nspname = $1::text", [schema]
    )
    if not known.fetchall():
        connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))


def of_gearmand(connection: Connection, schema: str, name: str) -> list[Table]:
    """Return the tables that gearmand may have used under this name.

    gearmand does not quote the name, so Postgres has changed it to lower case.
    """
    name = name or DEFAULT_OF_GEARMAND
    found = find(connection, (schema, name), (name,), (name.lower(),))
    return [one.table for one in found if one.of_gearmand]


def migrate(
    connection: Connection, theirs: Table, ours: Table, now: int
) -> Iterator[Unreadable]:
    """Move gearmand's rows into our table, and yield the rows that can't be moved.

    They are moved in one transaction. Their numbers are below `now` (microseconds since
    the epoch), or follow the last stored number if that is higher.
    """
    statement = MIGRATE.format(theirs=theirs.identifier, ours=ours.identifier)
    patience, connection.patience = connection.patience, MIGRATION
    with connection.transaction():
        connection.execute(SET_LOCAL, [f"{MIGRATION}s"])
        connection.execute(statement, [now])
    connection.patience = patience
    for place, *fields in connection.execute(LEFT.format(theirs.identifier)):
        yield Unreadable(f"the row at {place} of {theirs}", _fault(*fields))


def _fault(function: Any, unique: Any, priority: Any, when: Any) -> str:
    """Return what is wrong with a row of gearmand's table."""
    if None in (function, unique, priority, when):
        return "a column of it is NULL"
    return check(StoredJob(1, b"", function, unique, b"", priority, when))
