"""Storing jobs as rows, and reading them: the part of the plugin that needs psycopg."""

import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from psycopg import Error, errors
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Composed, Identifier

from gearman.errors import QueueError, StartupError
from gearman.queue import Claim, Cluster, Page, StoredJob, Unreadable, check

from .._shared.pages import page_of
from .._shared.sizes import refuse_large
from .arrays import Numbers, Texts
from .fence import ClusterTables, Fence, fenced, raced
from .inbox import Inbox
from .inbox import create as create_inbox
from .register import Register
from .session import (
    IN_ORDER,
    WRITABLE,
    Connection,
    InUse,
    Session,
    check_free,
    limits,
    settled,
)
from .tables import (
    COLUMNS,
    Table,
    check_name,
    choose,
    create,
    migrate,
    of_gearmand,
)

# Bytes of the largest workload. Postgres accepts no message, array or row of 1 GiB.
LARGEST: Final = 256 * 1024 * 1024
# Bytes of workloads and extras in one message, unless those of a single job are more.
MESSAGE: Final = 16 * 1024 * 1024
# The replay reads so many rows at a time. If a workload or an extra has more than SMALL
# bytes, both are read by a statement of their own.
PAGE: Final = 2000
SMALL: Final = 16 * 1024

DELETE: Final = SQL("DELETE FROM {table} WHERE number = ANY($1::bigint[])")
INSERT: Final = SQL("""
    INSERT INTO {table} ({columns}) SELECT * FROM unnest(
        $1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[],
        $6::bigint[], $7::bigint[], $8::bigint[], $9::bytea[]{extra}
    )
""")
SELECT: Final = SQL("""
    SELECT number, handle, function_name, unique_key,
        CASE WHEN octet_length(workload) <= $2::bigint THEN workload END,
        priority, when_to_run, retries, reducer_name,
        CASE WHEN octet_length(coalesce(extra, '')) <= $2::bigint
            THEN coalesce(extra, '') END
    FROM {table} WHERE number > $1::bigint{shards} ORDER BY number LIMIT $3::bigint
""")
OF_SHARDS: Final = SQL(" AND number & 63 = ANY($4::int[])")
LARGE: Final = SQL(
    "SELECT workload, coalesce(extra, '') FROM {table} WHERE number = $1::bigint"
)

# A transaction that a failure has left.
OPEN: Final = (TransactionStatus.INTRANS, TransactionStatus.INERROR)

WHAT_TO_DO: Final = (
    (InUse, "end that one, or name another table with --postgres-table"),
    (
        errors.InsufficientPrivilege,
        "grant that to the role, or name with --postgres-schema a schema where it"
        " may create a table",
    ),
    (errors.ReadOnlySqlTransaction, "connect to the primary server"),
    (Exception, "make sure that Postgres runs, and check --postgres-conninfo"),
)


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements for a table."""

    delete: Composed
    insert: Composed
    insert_with_extra: Composed
    select: Composed
    select_shards: Composed
    large: Composed

    @classmethod
    def on(cls, table: Table) -> "Statements":
        name = table.identifier
        columns = [*map(Identifier, COLUMNS)]
        return cls(
            DELETE.format(table=name),
            INSERT.format(
                table=name, columns=SQL(", ").join(columns[:-1]), extra=SQL("")
            ),
            INSERT.format(
                table=name,
                columns=SQL(", ").join(columns),
                extra=SQL(", $10::bytea[]"),
            ),
            SELECT.format(table=name, shards=SQL("")),
            SELECT.format(table=name, shards=OF_SHARDS),
            LARGE.format(table=name),
        )


class Store:
    """The jobs in a table; `queue.Queue` has the documentation."""

    def __init__(
        self,
        conninfo: str,
        table: str,
        schema: str,
        inbox: bool = False,
        cluster: Cluster | None = None,
    ) -> None:
        check_name(table, "postgres-table")
        check_name(schema, "postgres-schema")
        settings = IN_ORDER if inbox else {}
        if cluster is None:
            self._session = Session(conninfo, settings)
        else:
            # A client should know of a failure when another server takes over.
            lease = cluster.lease
            more, silence = limits(lease / 2, lease, 2 * lease)
            self._session = Session(conninfo, settings | more, WRITABLE, silence)
        self._names = schema, table
        self._has_inbox = inbox
        self._cluster = cluster
        self._fence: Fence | None = None
        self._left: list[Unreadable] = []
        # The highest number that was ever in the table, as far as is known.
        self._highest = 0
        self.inbox: Inbox | None = None
        try:
            self._open()
        except QueueError as error:
            raise StartupError(what_to_do(error)) from error

    def _open(self) -> None:
        with self._session.connection() as connection:
            self._table = choose(connection, *self._names)
            self._tables = ClusterTables(self._table)
            if self._cluster is not None:
                return self._tables.create(connection, self._cluster.name)
            self._check_alone(self._tables.name(connection))
        self._session.lock(str(self._table))
        return self._take_up()

    def _check_alone(self, cluster: str | None) -> None:
        if cluster is not None:
            raise StartupError(
                f"the table {self._table} belongs to the cluster {cluster!r}: name that"
                " with --cluster, or another table with --postgres-table"
            )

    def register(self) -> Register:
        """Return the register of the cluster."""
        assert self._cluster is not None  # noqa: S101
        return Register(self._session.conninfo, self._tables, self._cluster)

    def own(self, claim: Claim) -> None:
        """Own what the register says. Raises Fenced if this server was buried."""
        self._fence = Fence(self._tables, claim.id)
        self._session.guard(self._fence.begin)
        with self._session.connection() as connection:
            check_free(connection, str(self._table))
        self._take_up()

    def _take_up(self) -> None:
        """Create what is missing, and take over what gearmand has left."""
        _, table = self._names
        with self._session.connection() as connection:
            raced(partial(create, connection, self._table))
            if self._has_all(connection):
                for theirs in of_gearmand(connection, self._table.schema, table):
                    now = time.time_ns() // 1000
                    self._left += migrate(connection, theirs, self._table, now)
        self._statements = Statements.on(self._table)
        self.commit([], [])
        if self._has_inbox:
            self._open_inbox()

    def _has_all(self, connection: Connection) -> bool:
        """Whether jobs of all numbers are those of this server."""
        fence = self._fence
        return fence is None or self._tables.owns_all(connection, fence.id)

    def _open_inbox(self) -> None:
        with self._session.connection() as connection:
            raced(partial(create_inbox, connection, self._table))
        self.inbox = Inbox(self._session, self._table, LARGEST, self.commit)
        self.inbox.check()

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        """Yield the jobs, read page by page, so that no transaction stays open."""
        yield from self._left
        last = -(2**63)
        while rows := self._select(self._statements.select, last, SMALL, PAGE):
            yield from map(self._read, rows)
            last = rows[-1][0]
            self._highest = max(self._highest, last)

    def read(self, shards: AbstractSet[int], after: int) -> Page:
        """Return some jobs of shards; `queue.Queue` has the documentation."""
        select, wanted = self._statements.select_shards, sorted(shards)
        rows = self._select(select, after, SMALL, PAGE, wanted)
        page = page_of(rows, self._read, MESSAGE)
        left, self._left = self._left, []
        self._highest = max(self._highest, page.last or 0)
        return Page([*left, *page.items], page.last)

    def _select(
        self, statement: Composed, *values: int | list[int]
    ) -> list[tuple[Any, ...]]:
        with self._session.connection() as connection:
            select = partial(connection.execute, prepare=True, binary=True)
            return settled(lambda: select(statement, values).fetchall())

    def _read(self, row: tuple[Any, ...]) -> StoredJob | Unreadable:
        job = StoredJob._make(row)
        if job.workload is None or job.extra is None:
            [(workload, extra)] = self._select(self._statements.large, job.number)
            job = job._replace(workload=workload, extra=extra)
        if fault := check(job):
            return Unreadable(f"number {job.number} of {self._table}", fault)
        return job

    def commit(
        self,
        added: Sequence[StoredJob],
        done: Sequence[int],
        also: Callable[[Connection], None] | None = None,
    ) -> None:
        """Commit a batch, and what `also` executes in the same transaction."""
        refuse_large(added, LARGEST, "Postgres")
        # New jobs have higher numbers than those before them; others may replace rows.
        # ON CONFLICT would make every batch slower, by a sixth.
        numbers = [job.number for job in added]
        replaced = [number for number in numbers if number <= self._highest]
        with self._session.connection() as connection:
            write = partial(self._write, connection, added)
            try:
                settled(partial(write, [*done, *replaced], also))
            except errors.UniqueViolation:
                # Rare: rows exist already after a failure whose outcome is unknown.
                settled(partial(write, [*done, *numbers], also))
        self._highest = max(self._highest, *numbers, 0)

    def _write(
        self,
        connection: Connection,
        added: Sequence[StoredJob],
        done: Sequence[int],
        also: Callable[[Connection], None] | None,
    ) -> None:
        """Remove and then add, in one transaction, which ends with the pipeline.

        An empty batch runs the same statements, since they need the same rights.
        """
        try:
            self._send(connection, added, done, also)
        except errors.DivisionByZero as error:
            # No other statement divides.
            raise fenced() from error
        except Error:
            if connection.info.transaction_status in OPEN:
                connection.rollback()
            raise

    def _send(
        self,
        connection: Connection,
        added: Sequence[StoredJob],
        done: Sequence[int],
        also: Callable[[Connection], None] | None,
    ) -> None:
        fence = self._fence
        with connection.pipeline():
            if fence is not None and fence.may_collide:
                connection.execute("BEGIN")
            if fence is not None:
                fence.check(connection)
            if done or not added:
                connection.execute(
                    self._statements.delete, [Numbers(done)], prepare=True
                )
            if added or not done:
                for part in messages(added):
                    self._insert(connection, arrays(part))
            if also is not None:
                also(connection)
            if fence is not None and fence.may_collide:
                connection.execute("COMMIT")

    def _insert(self, connection: Connection, values: list[Numbers | Texts]) -> None:
        # A column more would make jobs without extra slower by a tenth. It is NULL
        # there, which takes no room in a row.
        if any(values[-1].items):
            statement = self._statements.insert_with_extra
        else:
            statement = self._statements.insert
            values.pop()
        connection.execute(statement, values, prepare=True)

    def close(self) -> None:
        if self.inbox is not None:
            self.inbox.close()
        self._session.close()


def what_to_do(error: QueueError) -> str:
    cause = error if isinstance(error, InUse) else error.__cause__
    advice = next(text for kind, text in WHAT_TO_DO if isinstance(cause, kind))
    return f"the queue can't be opened: {error}: {advice}"


def messages(jobs: Sequence[StoredJob]) -> Iterator[Sequence[StoredJob]]:
    """Yield parts of the jobs that are small enough for one message each.

    There is at least one part, which may be empty.
    """
    start = size = 0
    for position, job in enumerate(jobs):
        size += len(job.workload) + len(job.extra)
        if size > MESSAGE and position > start:
            yield jobs[start:position]
            start, size = position, len(job.workload) + len(job.extra)
    yield jobs[start:]


def arrays(jobs: Sequence[StoredJob]) -> list[Numbers | Texts]:
    """Return an array for each column."""
    columns = zip(*jobs, strict=True) if jobs else [()] * len(COLUMNS)
    return [
        Texts(column) if kind == "bytea" else Numbers(column)
        for column, kind in zip(columns, COLUMNS.values(), strict=True)
    ]
