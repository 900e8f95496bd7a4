"""The inbox: a table beside that of the jobs, into which other programs insert rows."""

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ, PollSelector
from socket import socketpair
from typing import Any, Final, Protocol

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from gearman.errors import StartupError
from gearman.queue import Inbox as BaseInbox
from gearman.queue import InboxRow, StoredJob

from .._shared.sizes import fitting
from .arrays import Numbers, Texts
from .session import Connection, Session, sentence, settled
from .tables import Table, beside, create_schema, find

SUFFIX: Final = "_inbox"
SUFFIX_OF_TRIGGER: Final = "_inbox_notify"

# A workload of more bytes is read by a statement of its own, since `take` reads only
# the first ones that fit.
SMALL: Final = 4096

# Seconds between attempts to listen.
PAUSE: Final = 5.0

COLUMNS: Final = {
    "id": "bigint",
    "function_name": "text",
    "unique_key": "text",
    "workload": "bytea",
    "priority": "smallint",
    "run_at": "timestamp with time zone",
    "options": "text",
    "refused_at": "timestamp with time zone",
    "reason": "text",
}

# No id is used again, since a commit that has removed a row may be repeated. The name
# of a channel has the number of the table, since names of tables may be longer.
CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {inbox} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    function_name text NOT NULL
        CHECK (octet_length(function_name) BETWEEN 1 AND 8180),
    unique_key text NOT NULL DEFAULT '' CHECK (octet_length(unique_key) <= 64),
    workload bytea NOT NULL DEFAULT '',
    priority smallint CHECK (priority BETWEEN 0 AND 2),
    run_at timestamptz CHECK (isfinite(run_at)),
    options text NOT NULL DEFAULT '',
    refused_at timestamptz,
    reason text
);
CREATE INDEX IF NOT EXISTS {index} ON {inbox} (id)
WHERE refused_at IS NULL;
CREATE OR REPLACE FUNCTION {notify}() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('gearman_inbox_' || TG_RELID, '');
    RETURN NULL;
EXCEPTION
    -- Other engines have no notifications: rows are found a second later.
    WHEN undefined_function OR feature_not_supported OR insufficient_privilege THEN
        RETURN NULL;
END
$$;
DROP TRIGGER IF EXISTS gearman_notify ON {inbox};
CREATE TRIGGER gearman_notify AFTER INSERT ON {inbox}
FOR EACH STATEMENT EXECUTE FUNCTION {notify}();
"""

TAKE: Final = """
    SELECT id, convert_to(function_name, {encoding}),
        convert_to(unique_key, {encoding}),
        CASE WHEN octet_length(workload) <= $2::bigint THEN workload END, priority,
        greatest(ceil(extract(epoch FROM run_at)), 0)::bigint,
        convert_to(options, {encoding}), octet_length(workload)::bigint
    FROM {inbox} WHERE refused_at IS NULL {condition}
    ORDER BY id LIMIT $1::bigint
"""
WITHOUT: Final = SQL("AND convert_to(function_name, {}) <> ALL($3::bytea[])")
COUNT: Final = """
    SELECT count(*) FROM (
        SELECT FROM {inbox} WHERE refused_at IS NULL LIMIT $1::bigint
    ) AS waiting
"""
LARGE: Final = "SELECT id, workload FROM {inbox} WHERE id = ANY($1::bigint[])"
DELETE: Final = "DELETE FROM {inbox} WHERE id = ANY($1::bigint[])"
REFUSE: Final = """
    UPDATE {inbox} SET refused_at = now(), reason = convert_from(refused.reason, 'UTF8')
    FROM unnest($1::bigint[], $2::bytea[]) AS refused (id, reason)
    WHERE {inbox}.id = refused.id
"""
CHANNEL: Final = "SELECT 'gearman_inbox_' || $1::text::regclass::oid"

# The bytes of a text. Only a database with this encoding may have texts of any bytes.
ENCODING: Final = SQL(
    "CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END"
)

log = logging.getLogger("gearman.server")


def inbox_of(table: Table) -> Table:
    return Table(table.schema, beside(table.name, SUFFIX))


def statements(table: Table) -> Composed:
    """Return the statements that create the inbox of a table of jobs."""
    inbox = inbox_of(table)
    return SQL(CREATE).format(
        inbox=inbox.identifier,
        index=Identifier(beside(table.name, "_inbox_waiting")),
        notify=Identifier(table.schema, beside(table.name, SUFFIX_OF_TRIGGER)),
    )


def create(connection: Connection, table: Table) -> None:
    """Create the inbox unless it exists. Raises StartupError if it is another table."""
    inbox = inbox_of(table)
    there = find(connection, (inbox.schema, inbox.name))
    if there and not there[0].columns.items() >= COLUMNS.items():
        raise StartupError(
            f"the table {inbox} has other columns than the queue's inbox: rename it, or"
            " name another table for jobs with --postgres-table"
        )
    if not there:
        create_schema(connection, inbox.schema)
        with connection.transaction():
            connection.execute(statements(table).as_string().encode())


class Commit(Protocol):
    """Commits a batch, and what `also` executes in the same transaction."""

    def __call__(
        self,
        added: Sequence[StoredJob],
        done: Sequence[int],
        also: Callable[[Connection], None],
        /,
    ) -> None: ...


class Inbox(BaseInbox):
    """The inbox beside a table of jobs; workloads have `largest` bytes at most."""

    def __init__(
        self, session: Session, table: Table, largest: int, commit: Commit
    ) -> None:
        self._session = session
        self._largest = largest
        self._commit = commit
        self._table = inbox_of(table)
        self._ears: Ears | None = None
        parts = {"inbox": self._table.identifier, "encoding": ENCODING}
        condition = WITHOUT.format(ENCODING)
        self._take = SQL(TAKE).format(**parts, condition=SQL(""))
        self._take_others = SQL(TAKE).format(**parts, condition=condition)
        self._count = SQL(COUNT).format(**parts)
        self._large = SQL(LARGE).format(**parts)
        self._delete = SQL(DELETE).format(**parts)
        self._refuse = SQL(REFUSE).format(**parts)

    def check(self) -> None:
        """Find out whether rows can be read, removed and changed."""
        self.take(1, 0, ())
        self.commit([], [], [0], {0: ""})

    def take(
        self, most: int, size: int, without: Collection[bytes]
    ) -> Sequence[InboxRow]:
        with self._session.connection() as connection:
            if without:
                values = [most, SMALL, Texts([*without])]
                rows = _fetch(connection, self._take_others, values)
            else:
                rows = _fetch(connection, self._take, [most, SMALL])
            rows = rows[: fitting([row[-1] for row in rows], size)]
            large = {
                row[0]: None
                for row in rows
                if row[3] is None and row[-1] <= self._largest
            }
            if large:
                found = _fetch(connection, self._large, [Numbers([*large])])
                large.update(found)
        return list(self._rows(rows, large))

    def count(self, most: int) -> int:
        with self._session.connection() as connection:
            [(count,)] = _fetch(connection, self._count, [most])
        return int(count)

    def _rows(
        self, rows: Sequence[tuple[Any, ...]], large: Mapping[int, Any]
    ) -> Iterator[InboxRow]:
        for *values, size in rows:
            fault = ""
            if size > self._largest:
                values[3] = b""
                fault = (
                    f"its workload has {size} bytes, and this queue takes"
                    f" {self._largest} at most"
                )
            elif values[3] is None:
                values[3] = large[values[0]]
            values[5] = values[5] or 0
            # None if the row was deleted meanwhile.
            if values[3] is not None:
                yield InboxRow._make((*values, fault))

    def commit(
        self,
        added: Sequence[StoredJob],
        done: Sequence[int],
        taken: Sequence[int],
        refused: Mapping[int, str],
    ) -> None:
        def change(connection: Connection) -> None:
            if taken:
                connection.execute(self._delete, [Numbers(taken)], prepare=True)
            if refused:
                reasons = [
                    reason.encode("ascii", "backslashreplace")
                    for reason in refused.values()
                ]
                values = [Numbers([*refused]), Texts(reasons)]
                connection.execute(self._refuse, values, prepare=True)

        self._commit(added, done, change)

    def listen(self, ring: Callable[[], None]) -> None:
        self._ears = Ears(self._session.conninfo, str(self._table), ring)

    def close(self) -> None:
        if self._ears is not None:
            self._ears.close()


def _fetch(
    connection: Connection, statement: Composed, values: Sequence[Any]
) -> list[tuple[Any, ...]]:
    select = partial(connection.execute, prepare=True, binary=True)
    return settled(lambda: select(statement, values).fetchall())


class Ears:
    """A thread with a connection that gets a notification for each insert.

    If it has none, it tries again; meanwhile rows are found a second later at most.
    """

    def __init__(self, conninfo: str, table: str, ring: Callable[[], None]) -> None:
        self._conninfo = conninfo
        self._table = table
        self._ring = ring
        self._here, self._there = socketpair()
        self._thread = threading.Thread(
            target=self._run, name="gearman-inbox", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the thread; if it connects just now, do not wait for that."""
        self._there.close()
        self._thread.join(1.0)

    def _run(self) -> None:
        with self._here:
            while not self._closed(0):
                try:
                    self._hear()
                except (psycopg.Error, OSError) as error:
                    log.info("Postgres does not tell of new rows: %s", sentence(error))
                    if self._closed(PAUSE):
                        return

    def _hear(self) -> None:
        """Ring for each notification, until the end."""
        connection = psycopg.connect(self._conninfo, autocommit=True)
        try:
            [(channel,)] = psycopg.RawCursor(connection).execute(CHANNEL, [self._table])
            connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
            self._ring()
            with PollSelector() as selector:
                selector.register(self._here, EVENT_READ)
                selector.register(connection.fileno(), EVENT_READ)
                while all(key.fileobj != self._here for key, _ in selector.select()):
                    connection.pgconn.consume_input()
                    if connection.pgconn.notifies():
                        while connection.pgconn.notifies():
                            pass
                        self._ring()
        finally:
            with suppress(psycopg.Error, OSError):
                connection.close()

    def _closed(self, timeout: float) -> bool:
        """Whether `close` is called within so many seconds."""
        with PollSelector() as selector:
            selector.register(self._here, EVENT_READ)
            return bool(selector.select(timeout))
