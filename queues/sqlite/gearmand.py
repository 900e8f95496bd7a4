"""gearmand's table of jobs, for coming from gearmand and for going back to it."""

import json
from collections.abc import Iterable, Sequence
from os import urandom
from typing import Any, Final, TypeVar

from gearman.queue import StoredJob

from .tables import Table, batches

# gearmand keeps only 63 bytes of a unique in memory. So it would not find the row of a
# longer one, and longer ones could become equal.
_LONGEST_KEY: Final = 63

# The beginning of a key that replaces a unique which can't be a key.
_MADE_UP: Final = b"gearman-py:"

_ADDED: Final = (
    *("handle BLOB", "own_unique BLOB", "retries INTEGER", "reducer BLOB"),
    "extra BLOB",
)

_TEXT: Final = "CAST(? AS TEXT)"

_Value = TypeVar("_Value")


class GearmandTable(Table):
    """gearmand's table, with additional columns that gearmand ignores.

    Its primary key is the unique and the function. If a unique can't be part of a key,
    or if another row has the same key, the row gets a generated key, and the unique is
    stored in a column of its own.
    """

    # The columns of a job's fields, in their order; before the last one, that column.
    columns = (
        *("handle", "function_name", "unique_key", "data", "priority", "when_to_run"),
        *("retries", "reducer", "own_unique", "extra"),
    )
    values = ("?", "?", _TEXT, _TEXT, *"???????")

    def create(self) -> None:
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self.quoted} (unique_key TEXT,"
            " function_name TEXT, priority INTEGER, data BLOB, when_to_run INTEGER,"
            " PRIMARY KEY (unique_key, function_name))"
        )
        present = self.present()
        # The table of gearmand's first versions has no time.
        for column in ("when_to_run INTEGER", *_ADDED):
            if column.split()[0] not in present:
                self._connection.execute(
                    f"ALTER TABLE {self.quoted} ADD COLUMN {column}"
                )
        self._mend()

    def _mend(self) -> None:
        """Replace the NULLs that gearmand has written, with which it does not start."""
        for column, value in ("data", "x''"), ("when_to_run", "0"):
            self._connection.execute(
                f"UPDATE {self.quoted} SET {column} = {value} WHERE {column} IS NULL"
            )

    def keeps_numbers(self) -> bool:
        if "handle" not in self.present():
            return False
        sql = f"SELECT 1 FROM {self.quoted} WHERE handle IS NULL LIMIT 1"
        return not self._connection.execute(sql).fetchall()

    def add(self, jobs: Iterable[StoredJob]) -> None:
        for some in batches(jobs):
            self.remove([job.number for job in some])
            rows = [_row(job, _key(job)) for job in some]
            if self._insert("INSERT OR IGNORE", rows) < len(some):
                self._add_ignored(some)

    def _add_ignored(self, jobs: Sequence[StoredJob]) -> None:
        """Store the jobs that were not inserted, because another row has their key."""
        sql = (
            f"SELECT rowid FROM {self.quoted}"
            " WHERE rowid IN (SELECT value FROM json_each(?))"
        )
        numbers = json.dumps([job.number for job in jobs])
        stored = {number for (number,) in self._connection.execute(sql, (numbers,))}
        rows = [_row(job, _made_up()) for job in jobs if job.number not in stored]
        self._insert("INSERT", rows)

    def _job(self, row: tuple[Any, ...]) -> StoredJob:
        number, handle, function, key, data, *others = row
        priority, when, retries, reducer, own, extra = others
        return StoredJob(
            number,
            _handle(handle, number),
            function,
            _default(own, key),
            _default(data, b""),
            priority,
            _default(when, 0),
            _default(retries, 0),
            reducer,
            _default(extra, b""),
        )


def _row(job: StoredJob, key: bytes) -> tuple[object, ...]:
    number, handle, function, unique, *others, extra = job
    own = None if key == unique else unique
    return (number, handle, function, key, *others, own, extra)


def _key(job: StoredJob) -> bytes:
    """Return the key for a job, unless another job has it."""
    usable = 0 < len(job.unique) <= _LONGEST_KEY and job.unique != b"-"
    return job.unique if usable else _made_up()


def _made_up() -> bytes:
    """Return a key that no row has had. VACUUM may reuse numbers, so it is random."""
    return _MADE_UP + urandom(12).hex().encode()


def _handle(stored: Any, number: int) -> Any:
    """Return the handle of a row, b"" if VACUUM has changed the row's number."""
    fits = isinstance(stored, bytes) and stored.endswith(b":%d" % number)
    return stored if fits else b""


def _default(value: Any, default: _Value) -> Any | _Value:
    return default if value is None else value
