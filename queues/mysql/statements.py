"""Statements as bytes: jobs as rows, in messages that the database accepts.

A job is a row, or several: each has at most so many bytes of the workload and of the
extra, so that every row fits into `max_allowed_packet`, and a large job takes no more
of the database's memory at once than a small one. `part` counts them from 0.

The row of the number 0 is that of the owner, see `session`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gearman.queue import StoredJob

# Bytes of a message, unless the database allows less.
MESSAGE: Final = 8 * 1024 * 1024
# Bytes of the workload in a row, and bytes of the extra, unless the database allows
# less than 8 times as much: both may double in a string.
PART: Final = 1024 * 1024
# How many numbers a statement removes. For long lists, MySQL would read all rows.
NUMBERS: Final = 1000

# In the order of the fields of a StoredJob, but for `part`.
COLUMNS: Final = {
    "number": "bigint",
    "part": "int",
    "handle": "varbinary",
    "function_name": "varbinary",
    "unique_key": "varbinary",
    "workload": "longblob",
    "priority": "tinyint",
    "when_to_run": "bigint",
    "retries": "bigint",
    "reducer_name": "blob",
    "extra": "longblob",
}
LIST: Final = ", ".join(COLUMNS).encode()

BEGIN: Final = b"START TRANSACTION"
COMMIT: Final = b"COMMIT"


def quoted(value: bytes) -> bytes:
    """Return a string of SQL, without backslash escapes."""
    return b"'%b'" % value.replace(b"'", b"''")


def identifier(name: str) -> bytes:
    return b"`%b`" % name.encode().replace(b"`", b"``")


def part_size(limit: int) -> int:
    """Return how many bytes of a workload a row has if a message may have `limit`."""
    return min(PART, limit // 8)


@dataclass(frozen=True, slots=True)
class Owner:
    """The statements about the owner's row of a table."""

    table: bytes

    def seize(self, token: bytes) -> bytes:
        """Set the token, whatever it was."""
        return b"%b ON DUPLICATE KEY UPDATE workload = %b" % (
            self.insert(token),
            quoted(token),
        )

    def insert(self, token: bytes) -> bytes:
        return b"INSERT INTO %b (%b) VALUES (0,0,'','','',%b,0,0,0,NULL,NULL)" % (
            self.table,
            LIST,
            quoted(token),
        )

    def renew(self, server: bytes, token: bytes) -> bytes:
        """Set the token if it is one of the same server, else fail with BAD_NULL."""
        return (
            b"UPDATE %b SET number = IF(LEFT(workload, %d) = %b, 0, NULL),"
            b" workload = %b WHERE number = 0 AND part = 0"
        ) % (self.table, len(server) + 1, quoted(server + b" "), quoted(token))

    def check(self, token: bytes) -> bytes:
        """Lock the row, and fail with BAD_NULL if it has another token."""
        return (
            b"UPDATE %b SET number = IF(workload = %b, 0, NULL)"
            b" WHERE number = 0 AND part = 0"
        ) % (self.table, quoted(token))


def probes(table: bytes) -> tuple[bytes, bytes]:
    """Return the statements that write and remove a row, which is no job."""
    row = b"(0,1,'','','','',0,0,0,NULL,NULL)"
    return (
        b"INSERT INTO %b (%b) VALUES %b" % (table, LIST, row),
        b"DELETE FROM %b WHERE number = 0 AND part = 1" % table,
    )


def removals(table: bytes, numbers: Sequence[int]) -> Iterator[bytes]:
    """Yield the statements that remove the rows of the jobs with these numbers."""
    for some in lists(numbers):
        place = table, table, some
        yield b"DELETE %b FROM %b FORCE INDEX (PRIMARY) WHERE number IN (%b)" % place


def lists(numbers: Sequence[int]) -> Iterator[bytes]:
    """Yield lists of numbers, short enough for a statement each."""
    for start in range(0, len(numbers), NUMBERS):
        yield b",".join(map(b"%d".__mod__, numbers[start : start + NUMBERS]))


def rows(jobs: Iterable[StoredJob], size: int) -> Iterator[bytes]:
    """Yield the rows of jobs, with parts of this size."""
    for job in jobs:
        number, handle, name, unique, data, priority, when, retries, reducer, extra = (
            job
        )
        more = len(data) > size or len(extra) > size
        yield b"(%d,0,'%b','%b','%b','%b',%d,%d,%d,%b,%b)" % (
            number,
            handle.replace(b"'", b"''"),
            name.replace(b"'", b"''"),
            unique.replace(b"'", b"''"),
            (data[:size] if more else data).replace(b"'", b"''"),
            priority,
            when,
            retries,
            b"NULL" if reducer is None else quoted(reducer),
            quoted(extra[:size]) if extra else b"NULL",
        )
        if more:
            yield from _further(job, size)


def _further(job: StoredJob, size: int) -> Iterator[bytes]:
    """Yield the rows of a large job but the first."""
    longest = max(len(job.workload), len(job.extra))
    for part, start in enumerate(range(size, longest, size), 1):
        data, extra = (
            quoted(field[start : start + size]) for field in (job.workload, job.extra)
        )
        yield b"(%d,%d,'','','',%b,0,0,0,NULL,%b)" % (job.number, part, data, extra)


def messages(
    table: bytes, first: Iterable[bytes], rows: Iterable[bytes], limit: int
) -> Iterator[bytes]:
    """Yield the messages of a transaction: these statements, then an INSERT of rows.

    A message has several statements; it is longer than `limit` only if a single one is.
    """
    limit = min(limit, MESSAGE) - len(COMMIT) - 1
    insert = b"INSERT INTO %b (%b) VALUES " % (table, LIST)
    message, size = [BEGIN], len(BEGIN)
    for statement in first:
        if size + len(statement) > limit:
            yield b"".join(message)
            message, size = [], 0
        message += (b";", statement) if message else (statement,)
        size += len(statement) + 1
    # What comes before the next row.
    between = b";" + insert
    for row in rows:
        if size + len(between) + len(row) > limit:
            yield b"".join(message)
            message, size, between = [], 0, insert
        message += (between, row)
        size += len(between) + len(row)
        between = b","
    message += (b";", COMMIT) if message else (COMMIT,)
    yield b"".join(message)
