"""Tables of jobs in an SQLite file, and this package's own table."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, count, islice
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from gearman.queue import StoredJob, Unreadable, check, shown

if TYPE_CHECKING:
    import sqlite3

# Rows of one statement. Each statement releases the GIL once, and must get it back from
# the thread of the event loop. Of the values from 1 to 512, this one gave both threads
# the best throughput.
_ROWS: Final = 64

_TYPES: Final = (int, bytes, bytes, bytes, bytes, int, int, int)
_SHAPES: Final = {(*_TYPES, kind, bytes) for kind in (bytes, NoneType)}

_EXTRA: Final = "extra BLOB DEFAULT x''"
_LATER: Final = "written by a later version of gearman-py"

_Item = TypeVar("_Item")


class Table(ABC):
    """A table of jobs, whose rowids are the numbers of the jobs.

    The methods raise sqlite3.Error. Call those that write in a transaction.
    """

    # The columns other than the rowid; `extra` is the last one.
    columns: ClassVar[tuple[str, ...]]
    # The expressions for the values of a row, the rowid first.
    values: ClassVar[tuple[str, ...]]

    def __init__(self, connection: "sqlite3.Connection", name: str) -> None:
        self._connection = connection
        self.name = name
        self.quoted = quoted(name)

    @abstractmethod
    def create(self) -> None:
        """Create the table, or add missing columns to an existing one."""

    @abstractmethod
    def keeps_numbers(self) -> bool:
        """Whether this package's server has assigned the numbers of these jobs."""

    def present(self) -> set[str]:
        """Return the names of the table's columns, none if there is no table."""
        rows = self._connection.execute(f"PRAGMA table_info({self.quoted})")
        return {row[1].decode() for row in rows}

    def count(self) -> int:
        """Return the number of rows."""
        return self._single("count(*)")

    def oldest(self) -> int:
        """Return the lowest number, 0 if there is none."""
        return self._single("min(rowid)")

    def newest(self) -> int:
        """Return the highest number, 0 if there is none."""
        return self._single("max(rowid)")

    def _single(self, expression: str) -> int:
        sql = f"SELECT {expression} FROM {self.quoted}"
        ((number,),) = self._connection.execute(sql).fetchall()
        return number or 0

    def jobs(self) -> Iterator[StoredJob | Unreadable]:
        """Yield the stored jobs in the order of their numbers."""
        present = self.present()
        wanted = (quoted(name) if name in present else "NULL" for name in self.columns)
        sql = f"SELECT rowid, {', '.join(wanted)} FROM {self.quoted} ORDER BY rowid"
        for row in self._connection.execute(sql):
            job = self._job(row)
            reason = _wrong_type(job) or check(job)
            if reason:
                yield Unreadable(f"row {job.number} of the table {self.name}", reason)
            else:
                yield job

    @abstractmethod
    def _job(self, row: tuple[Any, ...]) -> StoredJob:
        """Return a row as a job, without checking types."""

    @abstractmethod
    def add(self, jobs: Iterable[StoredJob]) -> None:
        """Store jobs; each replaces a stored job of the same number."""

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove the jobs of these numbers, if they exist."""
        if not numbers:
            return
        self._connection.execute(
            f"DELETE FROM {self.quoted}"
            " WHERE rowid IN (SELECT value FROM json_each(?))",
            (json.dumps(numbers),),
        )

    def _insert(self, verb: str, rows: Iterable[Sequence[object]]) -> int:
        """Insert rows, which begin with the number; return how many were inserted."""
        width = len(self.columns)
        extras = slice(width, None, width + 1)
        inserted = 0
        for some in batches(rows):
            values = [*chain(*some)]
            names = self.columns
            # A column more would make a job without extra slower by a tenth.
            if not any(values[extras]):
                del values[extras]
                names = names[:-1]
            head = f"{verb} INTO {self.quoted}"
            sql = _statement(head, names, self.values[: len(names) + 1], len(some))
            inserted += self._connection.execute(sql, values).rowcount
        return inserted


class NativeTable(Table):
    """A table with a column for each field of a job."""

    columns = StoredJob._fields[1:]
    values = ("?",) * len(StoredJob._fields)

    def create(self) -> None:
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self.quoted} (number INTEGER PRIMARY KEY,"
            ' handle BLOB, "function" BLOB, "unique" BLOB, workload BLOB,'
            ' priority INTEGER, "when" INTEGER, retries INTEGER, reducer BLOB,'
            f" {_EXTRA})"
        )

    def take_over(self, earlier: str) -> None:
        """Rename the table of an earlier version, and add the column that it lacks.

        Earlier versions check no columns. So there is a view in its place, with which
        they do not start: SQLite's message contains the name of a missing function.
        """
        sql = (
            "SELECT 1 FROM sqlite_master"
            " WHERE type = 'table' AND name = ? COLLATE NOCASE"
        )
        old = quoted(earlier)
        if self._connection.execute(sql, (earlier,)).fetchall():
            self._connection.execute(f"ALTER TABLE {old} RENAME TO {self.quoted}")
            self._connection.execute(f"ALTER TABLE {self.quoted} ADD COLUMN {_EXTRA}")
        self._connection.execute(
            f"CREATE VIEW IF NOT EXISTS {old} AS SELECT {quoted(_LATER)}()"
        )

    def keeps_numbers(self) -> bool:
        return True

    def add(self, jobs: Iterable[StoredJob]) -> None:
        self._insert("INSERT OR REPLACE", jobs)

    def _job(self, row: tuple[Any, ...]) -> StoredJob:
        return StoredJob(*row)


def move(source: Table, target: Table, before: int) -> None:
    """Move the jobs of one table to another; rows that can't be read stay.

    Jobs keep their numbers if this package's server has assigned them, and if all are
    higher than the numbers in the other table. Otherwise they get new numbers in their
    order, below `before` if possible. They then lose their handles, which end with the
    old numbers.
    """
    newest = target.newest()
    keep = source.keeps_numbers() and source.oldest() > newest
    numbers = count(max(newest + 1, before - source.count()))
    moved: list[int] = []

    def jobs() -> Iterator[StoredJob]:
        for job in source.jobs():
            if isinstance(job, StoredJob):
                moved.append(job.number)
                yield job if keep else job._replace(number=next(numbers), handle=b"")

    target.add(jobs())
    source.remove(moved)


def quoted(name: str) -> str:
    """Return the name of a table or column, quoted for SQL."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Yield the items in batches, one for each statement."""
    remaining = iter(items)
    while some := list(islice(remaining, _ROWS)):
        yield some


@cache
def _statement(
    head: str, columns: tuple[str, ...], values: tuple[str, ...], rows: int
) -> str:
    names = ", ".join(map(quoted, ("rowid", *columns)))
    row = f"({', '.join(values)})"
    return f"{head} ({names}) VALUES {', '.join([row] * rows)}"


def _in_words(value: object) -> str:
    """Return a value of SQLite for a message."""
    if value is None:
        return "NULL"
    return shown(value) if isinstance(value, bytes) else f"{value!s:.80}"


def _wrong_type(job: StoredJob) -> str:
    """Return the field that has a type which no server stores, or ""."""
    if tuple(map(type, job)) in _SHAPES:
        return ""
    for field, value, right in zip(
        job._fields, job, (*_TYPES, bytes, bytes), strict=True
    ):
        if not isinstance(value, right) and (field, value) != ("reducer", None):
            return f"its {field} is {_in_words(value)}"
    raise AssertionError(job)
