"""The inbox: a table beside that of the jobs, into which other programs insert rows."""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from math import ceil
from pathlib import Path
from typing import Any, Final, Protocol

from gearman.errors import QueueError, StartupError
from gearman.queue import Inbox as BaseInbox
from gearman.queue import InboxRow, StoredJob

from .file import File
from .tables import quoted

SUFFIX: Final = "_inbox"

# Functions that a statement can leave out; more may be read in vain.
_MOST_NAMES: Final = 400

# Without AUTOINCREMENT, SQLite would give the id of a row that has left to another one.
CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {inbox} (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    function_name TEXT NOT NULL
        CHECK (length(CAST(function_name AS BLOB)) BETWEEN 1 AND 8180),
    unique_key TEXT NOT NULL DEFAULT ''
        CHECK (length(CAST(unique_key AS BLOB)) <= 64),
    workload BLOB NOT NULL DEFAULT x'',
    priority INTEGER CHECK (priority IN (0, 1, 2)),
    run_at,
    options TEXT NOT NULL DEFAULT '',
    refused_at TEXT,
    reason TEXT
)"""

# A text is a time as SQLite's functions return it. It is NULL if they can't read it.
_TAKE: Final = """
    SELECT id, function_name, unique_key, workload, priority, CASE typeof(run_at)
        WHEN 'text' THEN CAST(strftime('%s', run_at) AS INTEGER) ELSE run_at END,
        options, run_at
    FROM {inbox} WHERE refused_at IS NULL AND function_name NOT IN ({names})
    ORDER BY id LIMIT ?
"""
_COUNT: Final = """
    SELECT count(*) FROM (SELECT 1 FROM {inbox} WHERE refused_at IS NULL LIMIT ?)
"""


def statement(table: str) -> str:
    """Return the statement that creates the inbox of a table of jobs."""
    return CREATE.format(inbox=quoted(table + SUFFIX))


def install(path: Path, table: str) -> None:
    """Create the inbox in a file that others may be using. Raises StartupError."""
    File.check(path)
    try:
        with closing(sqlite3.connect(path, timeout=10.0)) as connection:
            connection.execute(statement(table))
    except sqlite3.Error as error:
        raise StartupError(
            f"the queue file {path}: its inbox cannot be created ({error}): if a server"
            " uses it, start that with --queue-inbox"
        ) from error


class Commit(Protocol):
    """Commits a batch, and what `also` executes in the same transaction."""

    def __call__(
        self,
        added: Sequence[StoredJob],
        done: Sequence[int],
        also: Callable[[], None],
        /,
    ) -> None: ...


class Inbox(BaseInbox):
    """The inbox of a table of jobs in an open file."""

    def __init__(self, file: File, table: str, commit: Commit) -> None:
        self._file = file
        self._commit = commit
        self._quoted = quoted(table + SUFFIX)

    def check(self) -> None:
        """Find out whether rows can be read, removed and changed."""
        self.take(1, 0, ())
        self.commit([], [], [0], {0: ""})

    def take(
        self, most: int, size: int, without: Collection[bytes]
    ) -> Sequence[InboxRow]:
        names: list[object] = []
        for name in [*without][:_MOST_NAMES]:
            # A column of this type may have both.
            names += [name, name.decode(errors="replace")]
        sql = _TAKE.format(inbox=self._quoted, names=", ".join("?" * len(names)))
        with self._file.failures(QueueError):
            found = self._file.connection.execute(sql, [*names, most])
            with closing(found):
                return list(_fitting(found, size))

    def count(self, most: int) -> int:
        sql = _COUNT.format(inbox=self._quoted)
        with self._file.failures(QueueError):
            [(count,)] = self._file.connection.execute(sql, (most,)).fetchall()
        return int(count)

    def commit(
        self,
        added: Sequence[StoredJob],
        done: Sequence[int],
        taken: Sequence[int],
        refused: Mapping[int, str],
    ) -> None:
        def change() -> None:
            execute = self._file.connection.execute
            if taken:
                execute(
                    f"DELETE FROM {self._quoted}"
                    " WHERE id IN (SELECT value FROM json_each(?))",
                    (json.dumps([*taken]),),
                )
            for row, reason in refused.items():
                execute(
                    f"UPDATE {self._quoted} SET refused_at = CURRENT_TIMESTAMP,"
                    " reason = ? WHERE id = ?",
                    (reason, row),
                )

        self._commit(added, done, change)

    def listen(self, ring: Callable[[], None]) -> None:
        """Do nothing: SQLite tells nobody."""


def _fitting(rows: sqlite3.Cursor, most: int) -> Iterator[InboxRow]:
    """Yield the first row, and those after it whose workloads fit."""
    total = 0
    for row in map(_row, rows):
        total += len(row.workload)
        if total > most and total > len(row.workload):
            return
        yield row


def _row(values: Sequence[Any]) -> InboxRow:
    number, function, unique, workload, priority, when, options, given = values
    fault = ""
    if when is None:
        fault = "" if given is None else "its run_at is no time"
        when = 0
    elif not isinstance(when, int | float):
        fault, when = "its run_at is neither a number nor a text", 0
    return InboxRow(
        number,
        _bytes(function),
        _bytes(unique),
        _bytes(workload),
        priority,
        # Not above what a job can have; NaN is NULL in SQLite.
        ceil(max(0, min(when, 2.0**62))),
        _bytes(options),
        fault,
    )


def _bytes(value: object) -> bytes:
    """Return the bytes of a value, which may have any type in SQLite."""
    return value if isinstance(value, bytes) else str(value).encode()
