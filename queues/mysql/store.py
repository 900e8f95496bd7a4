"""Storing jobs as rows, and reading them: the part of the plugin that needs PyMySQL."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, Final

from gearman.errors import QueueError, StartupError
from gearman.queue import Claim, Cluster, Page, StoredJob, Unreadable, check

from .._shared.pages import page_of
from .._shared.sizes import refuse_large
from .alone import Alone, holder_of, lock_of
from .connection import (
    COMPOUND,
    DENIED,
    DUPLICATE,
    LOGGED,
    READ_ONLY,
    Connection,
    DatabaseError,
)
from .fence import ClusterTables, Fence
from .gearmand import migrate, of_gearmand
from .inbox import Inbox
from .inbox import create as create_inbox
from .register import Register, limits_of_store
from .session import Guard, InUse, Session, settled
from .statements import (
    MESSAGE,
    Owner,
    identifier,
    messages,
    part_size,
    probes,
    removals,
    rows,
)
from .tables import check_name, choose, create

# Bytes of the largest workload. It is stored in parts, so this is a limit of ours.
LARGEST: Final = 1024 * 1024 * 1024
# The replay reads so many jobs at a time. If a workload or an extra has more than SMALL
# bytes, both are read by statements of their own.
PAGE: Final = 2000
SMALL: Final = 16 * 1024

SELECT: Final = b"""
    SELECT number, handle, function_name, unique_key,
        IF(LENGTH(workload) <= %d, workload, NULL), priority, when_to_run, retries,
        reducer_name, IF(COALESCE(LENGTH(extra), 0) <= %d, COALESCE(extra, ''), NULL)
    FROM %b WHERE number > %d AND number <> 0 AND part = 0%b
    ORDER BY number LIMIT %d
"""
LENGTHS: Final = b"""
    SELECT part, LENGTH(workload), COALESCE(LENGTH(extra), 0) FROM %b
    WHERE number = %d ORDER BY part
"""
PIECE: Final = b"""
    SELECT SUBSTRING(%b, %d, %d) FROM %b WHERE number = %d AND part = %d
"""
PROMISES: Final = b"SELECT @@innodb_flush_log_at_trx_commit, @@log_bin, @@sync_binlog"

WHAT_TO_DO: Final = (
    (DENIED, "grant that to the user"),
    (READ_ONLY, "connect to the primary server"),
    (
        LOGGED,
        "allow that by SET GLOBAL log_bin_trust_function_creators = 1; this is safe if"
        " the binary log has rows (binlog_format=ROW or MIXED)",
    ),
)

log = logging.getLogger("gearman.server")


class Store:
    """The jobs in a table; `queue.Queue` has the documentation."""

    def __init__(
        self,
        places: Sequence[Mapping[str, Any]],
        table: str,
        inbox: bool = False,
        cluster: Cluster | None = None,
    ) -> None:
        check_name(table)
        self._places = places
        self._session = Session(
            places, None if cluster is None else limits_of_store(cluster.lease)
        )
        self._given = table
        self._has_inbox = inbox
        self._cluster = cluster
        self._left: list[Unreadable] = []
        # The highest number that was ever in the table, as far as is known.
        self._highest = 0
        self.inbox: Inbox | None = None
        try:
            self._open()
        except QueueError as error:
            self._session.close()
            raise StartupError(what_to_do(error)) from error
        except BaseException:
            self._session.close()
            raise

    def _open(self) -> None:
        with self._session.connection() as connection:
            self._name = choose(connection, self._given)
            self._table = identifier(self._name)
            self._tables = ClusterTables(self._name)
            if self._cluster is not None:
                return self._tables.create(connection, self._cluster.name)
            self._check_alone(self._tables.name(connection))
        alone = Alone(self._name)
        self._guarded_by(alone)
        with self._session.connection() as connection:
            create(connection, self._name)
            alone.own(connection)
        return self._take_up()

    def _check_alone(self, cluster: str | None) -> None:
        if cluster is not None:
            raise StartupError(
                f"the table {self._name} belongs to the cluster {cluster!r}: name that"
                " with --cluster, or another table with --mysql-table"
            )

    def _guarded_by(self, guard: Guard) -> None:
        self._guard = guard
        self._session.guard(guard)

    def register(self) -> Register:
        """Return the register of the cluster."""
        assert self._cluster is not None  # noqa: S101
        return Register(self._places, self._tables, self._cluster)

    def own(self, claim: Claim) -> None:
        """Own what the register says. Raises Fenced if this server was buried."""
        self._guarded_by(Fence(self._tables, claim.id))
        with self._session.connection() as connection:
            if holder_of(connection, lock_of(connection, self._name)) is not None:
                raise InUse(
                    f"the table {self._name} is in use by a server without --cluster"
                )
            create(connection, self._name)
            # If there is such a server that was not seen, it can't commit any more.
            seize = Owner(self._table).seize(b"a cluster")
            settled(connection, partial(connection.run, seize))
            has_all = self._tables.owns_all(connection, claim.id)
        self._take_up(has_all)

    def _take_up(self, has_all: bool = True) -> None:
        """Take over what gearmand has left, and look whether the table can be used."""
        with self._session.connection() as connection:
            [settings] = connection.rows(PROMISES)
            if warning := what_may_be_lost(*settings):
                log.warning("%s", warning)
            for theirs in of_gearmand(connection, self._given) if has_all else ():
                now = time.time_ns() // 1000
                self._left += migrate(connection, theirs, self._name, now)
        self.commit([], [])
        if self._has_inbox:
            self._open_inbox()

    def _open_inbox(self) -> None:
        with self._session.connection() as connection:
            create_inbox(connection, self._name)
        self.inbox = Inbox(self._session, self._name, LARGEST, self.commit)
        self.inbox.check()

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        """Yield the jobs, read page by page, so that no transaction stays open."""
        yield from self._left
        last = -(2**63)
        while page := self._page(last):
            yield from map(self._read, page)
            last = page[-1][0]
            self._highest = max(self._highest, last)

    def read(self, shards: AbstractSet[int], after: int) -> Page:
        """Return some jobs of shards; `queue.Queue` has the documentation."""
        wanted = b",".join(map(b"%d".__mod__, sorted(shards)))
        rows = self._page(after, b" AND number & 63 IN (%b)" % wanted)
        page = page_of(rows, self._read, MESSAGE)
        left, self._left = self._left, []
        self._highest = max(self._highest, page.last or 0)
        return Page([*left, *page.items], page.last)

    def _page(self, after: int, more: bytes = b"") -> tuple[tuple[Any, ...], ...]:
        return self._select(SELECT % (SMALL, SMALL, self._table, after, more, PAGE))

    def _select(self, statement: bytes) -> tuple[tuple[Any, ...], ...]:
        with self._session.connection() as connection:
            return connection.rows(statement)

    def _read(self, row: tuple[Any, ...]) -> StoredJob | Unreadable:
        job = StoredJob._make(row)
        if job.workload is None or job.extra is None:
            job = self._whole(job)
        if fault := check(job):
            return Unreadable(f"number {job.number} of {self._name}", fault)
        return job

    def _whole(self, job: StoredJob) -> StoredJob:
        """Read the workload and the extra of a large job, piece by piece."""
        workload, extra = bytearray(), bytearray()
        with self._session.connection() as connection:
            size = part_size(connection.limit)
            lengths = connection.rows(LENGTHS % (self._table, job.number))
            for part, *sizes in lengths:
                for column, length, whole in zip(
                    (b"workload", b"extra"), sizes, (workload, extra), strict=True
                ):
                    for start in range(0, length, size):
                        place = (column, start + 1, size, self._table)
                        piece = PIECE % (*place, job.number, part)
                        [(found,)] = connection.rows(piece)
                        whole += found
        return job._replace(workload=bytes(workload), extra=bytes(extra))

    def commit(
        self,
        added: Sequence[StoredJob],
        done: Sequence[int],
        also: Sequence[bytes] = (),
    ) -> None:
        """Commit a batch, and these statements in the same transaction."""
        refuse_large(added, LARGEST, "the queue")
        # New jobs have higher numbers than those before them; others may replace rows.
        numbers = [job.number for job in added]
        replaced = [number for number in numbers if number <= self._highest]
        with self._session.connection() as connection:
            try:
                self._write(connection, added, [*done, *replaced], also)
            except DatabaseError as error:
                if error.code != DUPLICATE:
                    raise
                # Rare: rows exist already after a failure whose outcome is unknown.
                connection.run(b"ROLLBACK")
                self._write(connection, added, [*done, *numbers], also)
        self._highest = max(self._highest, *numbers, 0)

    def _write(
        self,
        connection: Connection,
        added: Sequence[StoredJob],
        gone: Sequence[int],
        also: Sequence[bytes],
    ) -> None:
        """Remove and then add, in one transaction.

        It makes sure that the table is still ours. It is one round trip if it is small.
        """
        try:
            settled(connection, partial(self._try, connection, added, gone, also))
        except DatabaseError as error:
            if refused := self._guard.refused(error):
                raise refused from error
            raise

    def _try(
        self,
        connection: Connection,
        added: Sequence[StoredJob],
        gone: Sequence[int],
        also: Sequence[bytes],
    ) -> None:
        table, limit = self._table, connection.limit - len(COMPOUND)
        first = [*self._guard.checks(), *removals(table, gone), *also]
        if not added and not gone and not also:
            first += probes(table)
        found: int | None = None
        for message in messages(table, first, rows(added, part_size(limit)), limit):
            results = connection.run_together(message)
            if found is None and len(results) > 1:
                found = results[1].found
        if found == 0:
            self._guard.missed(connection)

    def close(self) -> None:
        self._session.close()


def what_to_do(error: QueueError) -> str:
    advice = "make sure that the database runs, and check the options --mysql-..."
    if isinstance(error, InUse):
        advice = "end that one, or name another table with --mysql-table"
    elif isinstance(error, DatabaseError):
        for codes, text in WHAT_TO_DO:
            if error.code in codes:
                advice = text
    return f"the queue can't be opened: {error}: {advice}"


def what_may_be_lost(flush: int, has_log: bool, sync: int) -> str:
    """Return what a crash loses because of the database's settings, "" if nothing.

    These are innodb_flush_log_at_trx_commit, log_bin and sync_binlog.
    """
    if flush != 1:
        crash = "its machine crashes" if flush == 2 else "it or its machine crashes"
        return (
            f"innodb_flush_log_at_trx_commit of the database is {flush}: if {crash},"
            " jobs of about the last second are lost; with 1, none are"
        )
    if has_log and sync != 1:
        return (
            f"sync_binlog of the database is {sync}: if its machine crashes, the last"
            " jobs may be lost; with 1, none are"
        )
    return ""
