"""Jobs in gearmand's table, which are moved to the queue's own."""

from collections.abc import Iterator
from typing import Any, Final

from gearman.queue import StoredJob, Unreadable, check, shown

from .connection import Connection
from .statements import BEGIN, COMMIT, LIST, identifier
from .tables import Table, find

# Those of the queues MySQL and libdrizzle.
DEFAULTS: Final = ("gearman_queue", "queue")

# Seconds that taking over gearmand's rows may take.
PATIENCE: Final = 3600

# The same limits are in `check`.
READABLE: Final = (
    b"priority IN (0, 1, 2) AND when_to_run >= 0"
    b" AND LENGTH(%b) <= 8180 AND LOCATE('\0', %b) = 0"
    b" AND LENGTH(%b) <= 64 AND LOCATE('\0', %b) = 0"
)
# Numbers begin after this one: they are below the time of today (microseconds since the
# epoch), or follow the last stored number if that is higher.
START: Final = b"""
    SELECT GREATEST(
        %d - (SELECT COUNT(*) FROM %b), (SELECT COALESCE(MAX(number), 0) FROM %b)
    )
"""
# gearmand's table has no primary key. So its rows are in the order in which they were
# written. gearmand stores an empty workload as NULL.
COPY: Final = b"""
    INSERT INTO %b (%b)
    SELECT %d + ROW_NUMBER() OVER (), 0, '', %b, %b, COALESCE(data, ''), priority,
        when_to_run, 0, NULL, NULL
    FROM %b WHERE %b
"""
DELETE: Final = b"DELETE FROM %b WHERE %b"
LEFT: Final = b"SELECT %b, %b, priority, when_to_run FROM %b"


def of_gearmand(connection: Connection, name: str) -> list[Table]:
    """Return the tables that gearmand may have used under this name."""
    found = [find(connection, one) for one in ((name,) if name else DEFAULTS)]
    return [table for table in found if table and table.of_gearmand]


def migrate(
    connection: Connection, theirs: Table, ours: str, now: int
) -> Iterator[Unreadable]:
    """Move gearmand's rows into our table, and yield the rows that can't be moved.

    They are moved in one transaction, which locks gearmand's table. If that is not one
    of InnoDB, a crash in the middle has them stored in both, and so they run twice.
    `now` is in microseconds since the epoch.
    """
    table, target = identifier(theirs.name), identifier(ours)
    function = _received(theirs, "function_name")
    unique = _received(theirs, "unique_key")
    readable = READABLE % (function, function, unique, unique)
    with connection.patience(PATIENCE):
        connection.run(BEGIN)
        [(start,)] = connection.rows(START % (now, table, target))
        connection.run(COPY % (target, LIST, start, function, unique, table, readable))
        if not theirs.transactional:
            connection.run(COMMIT)
        connection.run(DELETE % (table, readable))
        connection.run(COMMIT)
    for fields in connection.rows(LEFT % (function, unique, table)):
        yield Unreadable(_place(theirs.name, *fields[:2]), _fault(*fields))


def _received(table: Table, column: str) -> bytes:
    """Return the expression for the bytes of a string as gearmand reads them.

    Its connection uses UTF-8; its table may have another character set.
    """
    name = column.encode()
    if table.character_sets[column] in ("", "utf8", "utf8mb3", "utf8mb4"):
        return b"CAST(%b AS BINARY)" % name
    return b"CAST(CONVERT(%b USING utf8mb4) AS BINARY)" % name


def _place(table: str, function: bytes | None, unique: bytes | None) -> str:
    names = (
        "NULL" if name is None else repr(shown(name)) for name in (function, unique)
    )
    return "the row of {} with function_name {} and unique_key {}".format(table, *names)


def _fault(function: Any, unique: Any, priority: Any, when: Any) -> str:
    """Return what is wrong with a row of gearmand's table."""
    if None in (function, unique, priority, when):
        return "a column of it is NULL"
    return check(StoredJob(1, b"", function, unique, b"", priority, when))
