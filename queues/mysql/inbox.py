"""The inbox: a table beside that of the jobs, into which other programs insert rows."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from gearman.errors import StartupError
from gearman.queue import Inbox as BaseInbox
from gearman.queue import InboxRow, StoredJob

from .._shared.sizes import fitting
from .connection import Connection
from .session import Session
from .statements import identifier, lists, part_size, quoted
from .tables import beside, find

SUFFIX: Final = "_inbox"

# A workload of more bytes is read by a statement of its own, since `take` reads only
# the first ones that fit.
SMALL: Final = 4096

# The database gives no id again, also after its restart. A commit that has removed a
# row may be repeated.
CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {inbox} (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    function_name VARCHAR(8180) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL
        CHECK (OCTET_LENGTH(function_name) BETWEEN 1 AND 8180),
    unique_key VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL
        DEFAULT '' CHECK (OCTET_LENGTH(unique_key) <= 64),
    workload LONGBLOB NOT NULL DEFAULT (''),
    priority TINYINT CHECK (priority BETWEEN 0 AND 2),
    run_at TIMESTAMP(6) NULL DEFAULT NULL,
    options TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT (''),
    refused_at TIMESTAMP(6) NULL DEFAULT NULL,
    reason TEXT CHARACTER SET utf8mb4,
    KEY waiting (refused_at, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC"""

COLUMNS: Final = {
    "id": "bigint",
    "function_name": "varchar",
    "unique_key": "varchar",
    "workload": "longblob",
    "priority": "tinyint",
    "run_at": "timestamp",
    "options": "text",
    "refused_at": "timestamp",
    "reason": "text",
}

TAKE: Final = b"""
    SELECT id, function_name, unique_key,
        IF(LENGTH(workload) <= %d, workload, NULL), priority,
        COALESCE(CEILING(UNIX_TIMESTAMP(run_at)), 0), options, LENGTH(workload)
    FROM %b WHERE refused_at IS NULL%b ORDER BY id LIMIT %d
"""
COUNT: Final = b"""
    SELECT COUNT(*) FROM
        (SELECT 1 FROM %b WHERE refused_at IS NULL LIMIT %d) AS waiting
"""
LARGE: Final = b"SELECT id, workload FROM %b WHERE id IN (%b)"
PIECE: Final = b"SELECT SUBSTRING(workload, %d, %d) FROM %b WHERE id = %d"
# For long lists, the database would read all rows.
MANY: Final = 1000
# The database would read a small table whole for `id IN (...)`, and wait for each row
# that another program has not committed yet. A join in this order has it look up each
# id. MySQL takes no JSON, and no path, of the connection's character set.
REMOVE: Final = b"""
    DELETE %b FROM JSON_TABLE(
        _utf8mb4'[%b]', _utf8mb4'$[*]' COLUMNS (id BIGINT PATH _utf8mb4'$')
    ) AS taken STRAIGHT_JOIN %b FORCE INDEX (PRIMARY) ON %b.id = taken.id
"""


def name_of(table: str) -> str:
    """Return the name of the inbox of a table of jobs."""
    return beside(table, SUFFIX)


def statement(table: str) -> str:
    """Return the statement that creates the inbox of a table of jobs."""
    return CREATE.format(inbox=identifier(name_of(table)).decode())


def create(connection: Connection, table: str) -> None:
    """Create the inbox unless it exists. Raises StartupError if it can't be used."""
    name = name_of(table)
    if find(connection, name) is None:
        connection.run(statement(table).encode())
    there = find(connection, name)
    if there is None or not there.columns.items() >= COLUMNS.items():
        raise StartupError(
            f"the table {name} has other columns than the queue's inbox: rename it, or"
            " name another table for jobs with --mysql-table"
        )
    if not there.transactional:
        raise StartupError(
            f"the table {name} is not one of InnoDB, and would lose jobs: change that"
            f" by ALTER TABLE {identifier(name).decode()} ENGINE = InnoDB"
        )


class Commit(Protocol):
    """Commits a batch, with statements that belong to the same transaction."""

    def __call__(
        self, added: Sequence[StoredJob], done: Sequence[int], also: Sequence[bytes], /
    ) -> None: ...


class Inbox(BaseInbox):
    """The inbox of a table of jobs; workloads have `largest` bytes at most."""

    def __init__(
        self, session: Session, table: str, largest: int, commit: Commit
    ) -> None:
        self._session = session
        self._table = identifier(name_of(table))
        self._largest = largest
        self._commit = commit

    def check(self) -> None:
        """Find out whether rows can be read, removed and changed."""
        self.take(1, 0, ())
        self.commit([], [], [0], {0: ""})

    def take(
        self, most: int, size: int, without: Collection[bytes]
    ) -> Sequence[InboxRow]:
        others = b""
        if without:
            names = b", ".join(b"_utf8mb4 %b" % quoted(name) for name in without)
            others = b" AND function_name NOT IN (%b)" % names
        with self._session.connection() as connection:
            rows = connection.rows(TAKE % (SMALL, self._table, others, most))
            rows = rows[: fitting([row[-1] for row in rows], size)]
            large = self._large(
                connection,
                {
                    row[0]: row[-1]
                    for row in rows
                    if row[3] is None and row[-1] <= self._largest
                },
            )
        return list(self._rows(rows, large))

    def count(self, most: int) -> int:
        with self._session.connection() as connection:
            [(count,)] = connection.rows(COUNT % (self._table, most))
        return int(count)

    def _large(
        self, connection: Connection, sizes: Mapping[int, int]
    ) -> dict[int, bytes]:
        """Return the workloads of the rows with these ids, of these sizes."""
        piece = part_size(connection.limit)
        found: dict[int, bytes] = {}
        some = [row for row, size in sizes.items() if size <= piece]
        for start in range(0, len(some), MANY):
            ids = b",".join(map(b"%d".__mod__, some[start : start + MANY]))
            found.update(connection.rows(LARGE % (self._table, ids)))
        for row, size in sizes.items():
            if size > piece:
                pieces = [
                    connection.rows(PIECE % (start + 1, piece, self._table, row))
                    for start in range(0, size, piece)
                ]
                # None is there if the row was deleted meanwhile.
                if all(pieces):
                    found[row] = b"".join(part[0][0] for part in pieces)
        return found

    def _rows(
        self, rows: Sequence[tuple[Any, ...]], large: Mapping[int, bytes]
    ) -> Iterator[InboxRow]:
        for row, function, unique, data, priority, when, options, size in rows:
            fault = ""
            workload = large.get(row) if data is None else data
            if size > self._largest:
                workload = b""
                fault = (
                    f"its workload has {size} bytes, and this queue takes"
                    f" {self._largest} at most"
                )
            if workload is not None:
                values = (row, function, unique, workload, priority, int(when), options)
                yield InboxRow(*values, fault)

    def commit(
        self,
        added: Sequence[StoredJob],
        done: Sequence[int],
        taken: Sequence[int],
        refused: Mapping[int, str],
    ) -> None:
        self._commit(added, done, [*self._changes(taken, refused)])

    def _changes(
        self, taken: Sequence[int], refused: Mapping[int, str]
    ) -> Iterator[bytes]:
        table = self._table
        for some in lists(taken):
            yield REMOVE % (table, some, table, table)
        for row, reason in refused.items():
            text = quoted(reason.encode("ascii", "backslashreplace"))
            yield (
                b"UPDATE %b SET refused_at = CURRENT_TIMESTAMP(6), reason = %b"
                b" WHERE id = %d"
            ) % (table, text, row)

    def listen(self, ring: Callable[[], None]) -> None:
        """Do nothing: the database tells nobody."""
