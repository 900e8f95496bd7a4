"""Storing jobs as rows, and reading them: the part of the plugin that needs PyMySQL."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gearman.errors import QueueError, StartupError
from gearman.queue import StoredJob, Unreadable, check

from .._shared.sizes import refuse_large
from .connection import (
    BAD_NULL,
    DEADLOCK,
    DENIED,
    DUPLICATE,
    READ_ONLY,
    Connection,
    DatabaseError,
)
from .gearmand import migrate, of_gearmand
from .inbox import Inbox
from .inbox import create as create_inbox
from .session import InUse, Session
from .statements import Owner, identifier, messages, part_size, probes, removals, rows
from .tables import check_name, choose, create

# Bytes of the largest workload. It is stored in parts, so this is a limit of ours.
LARGEST: Final = 1024 * 1024 * 1024
# The replay reads so many jobs at a time. If a workload or an extra has more than SMALL
# bytes, both are read by statements of their own.
PAGE: Final = 2000
SMALL: Final = 16 * 1024
# How often a batch is tried that is the victim of a deadlock.
ATTEMPTS: Final = 3

SELECT: Final = b"""
    SELECT number, handle, function_name, unique_key,
        IF(LENGTH(workload) <= %d, workload, NULL), priority, when_to_run, retries,
        reducer_name, IF(COALESCE(LENGTH(extra), 0) <= %d, COALESCE(extra, ''), NULL)
    FROM %b WHERE number > %d AND number <> 0 AND part = 0 ORDER BY number LIMIT %d
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
)

log = logging.getLogger("gearman.server")


class Store:
    """The jobs in a table; `queue.Queue` has the documentation."""

    def __init__(
        self, arguments: Mapping[str, Any], table: str, inbox: bool = False
    ) -> None:
        check_name(table)
        self._session = Session(arguments)
        self._left: list[Unreadable] = []
        # The highest number that was ever in the table, as far as is known.
        self._highest = 0
        self.inbox: Inbox | None = None
        try:
            self._open(table)
            if inbox:
                self._open_inbox()
        except QueueError as error:
            self._session.close()
            raise StartupError(what_to_do(error)) from error
        except BaseException:
            self._session.close()
            raise

    def _open(self, name: str) -> None:
        with self._session.connection() as connection:
            self._name = choose(connection, name)
        self._table = identifier(self._name)
        self._session.lock(self._name)
        with self._session.connection() as connection:
            create(connection, self._name)
            self._session.own(Owner(self._table))
            [settings] = connection.rows(PROMISES)
            if warning := what_may_be_lost(*settings):
                log.warning("%s", warning)
        self._take_over(name)
        self.commit([], [])

    def _open_inbox(self) -> None:
        with self._session.connection() as connection:
            create_inbox(connection, self._name)
        self.inbox = Inbox(self._session, self._name, LARGEST, self.commit)
        self.inbox.check()

    def _take_over(self, name: str) -> None:
        """Move the jobs that gearmand has left."""
        with self._session.connection() as connection:
            for theirs in of_gearmand(connection, name):
                now = time.time_ns() // 1000
                self._left += migrate(connection, theirs, self._name, now)

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        """Yield the jobs, read page by page, so that no transaction stays open."""
        yield from self._left
        last = -(2**63)
        while page := self._select(SELECT % (SMALL, SMALL, self._table, last, PAGE)):
            yield from map(self._read, page)
            last = page[-1][0]
            self._highest = max(self._highest, last)

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
        attempts = 0
        while True:
            attempts += 1
            try:
                return self._try(connection, added, gone, also)
            except DatabaseError as error:
                if error.code == BAD_NULL:
                    raise self._session.displaced() from error
                if error.code not in (DEADLOCK, DUPLICATE):
                    raise
                connection.run(b"ROLLBACK")
                if error.code == DUPLICATE or attempts == ATTEMPTS:
                    raise

    def _try(
        self,
        connection: Connection,
        added: Sequence[StoredJob],
        gone: Sequence[int],
        also: Sequence[bytes],
    ) -> None:
        table, limit = self._table, connection.limit
        first = [self._session.fence(), *removals(table, gone), *also]
        if not added and not gone and not also:
            first += probes(table)
        found = None
        for message in messages(table, first, rows(added, part_size(limit)), limit):
            results = connection.run(message)
            if found is None and len(results) > 1:
                found = results[1].found
        if not found:
            self._session.restore(connection)

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
