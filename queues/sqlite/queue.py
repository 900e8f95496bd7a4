"""The queue plugin sqlite: background jobs in a file."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gearman.errors import ConfigurationError, JobRefused, QueueError, StartupError
from gearman.queue import Inbox, Option, StoredJob, Unreadable, shown
from gearman.queue import Queue as _Queue

from .gearmand import GearmandTable
from .tables import NativeTable, move

if TYPE_CHECKING:
    from .file import File

_DEFAULT_TABLE: Final = "gearman_queue"

# Bytes of a row for numbers and the handle, which has up to 64, at most.
_OTHERS: Final = 264


class Queue(_Queue):
    """Stores background jobs in the SQLite file `db` (--sqlite-db).

    The file is created if it does not exist; its folder must exist. While the server
    runs, and after a crash, the latest jobs are in FILE-wal in the same folder: copy,
    move or delete both files or none. FILE-reserve reserves 4 MiB for removing finished
    jobs when the disk is full. Only one server can use the file at a time, and no other
    process can read it meanwhile: stop the server to read or copy it. The file does not
    become smaller when jobs are done, but their room is used again.

    A job may have as many bytes as a row of SQLite, by default 1 GB. When the disk is
    full, jobs are refused until there is room again; room also comes from finished
    jobs. If a file is deleted, replaced or changed while the server runs, jobs are
    refused until it is restored; until then its jobs are only in the server's memory.

    Jobs are in a table of their own, NAME_records. Jobs that gearmand has left in its
    table `table` (--sqlite-table) are moved there at each start, in their order. Stop
    gearmand first: this server does not notice an idle gearmand, which then can't store
    jobs any more. Rows that can't be read stay where they are and are reported.

    With `format` "gearmand" (--queue-format), jobs are in gearmand's table instead, and
    those in the other table are moved there at the start. So gearmand can go on with
    the file after this server was started and stopped once with it. The format is
    slower by a third. It has additional columns, which gearmand ignores, so that no
    field of a job is lost as long as this server uses the file. gearmand itself has no
    stored handles, retries and reducers: it gives new handles, and runs jobs with a
    reducer as plain jobs. Its primary key is the unique and the function. So a job gets
    a generated unique that begins with "gearman-py:" if its own is empty, "-", longer
    than 63 bytes, or that of another job of the function. In rows of gearmand, NULL as
    workload or time, on which gearmand would not start, is replaced by an empty
    workload and by 0.
    """

    options = (
        Option(
            "db",
            ("sqlite-db", "libsqlite3-db"),
            "file for background jobs; created if it does not exist",
            "FILE",
            "path",
        ),
        Option(
            "table",
            ("sqlite-table", "libsqlite3-table"),
            "gearmand's table in the file, whose jobs are taken over; the jobs of this"
            " server are in the table NAME_records (default: gearman_queue)",
            "NAME",
        ),
        Option(
            "format",
            ("queue-format",),
            "native, or gearmand: the table and format of gearmand, so that you can go"
            " back to it (default: native)",
            kind=("native", "gearmand"),
        ),
    )

    has_inbox = True

    @classmethod
    def prepare(cls) -> None:
        _file_class()

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        table = options.get("table", _DEFAULT_TABLE)
        _file_class().check(_path(options.get("db"), table))

    def __init__(
        self,
        *,
        db: str | Path | None = None,
        table: str = _DEFAULT_TABLE,
        format: str = "native",
        inbox: bool = False,
    ) -> None:
        self._file = _file_class()(_path(db, table), shared=inbox)
        native = NativeTable(self._file.connection, f"{table}_records")
        gearmand = GearmandTable(self._file.connection, table)
        in_gearmands = format == "gearmand"
        self._table = gearmand if in_gearmands else native
        self._other = native if in_gearmands else gearmand
        try:
            self._prepare(native, f"{table}_jobs")
            if inbox:
                self._inbox = self._open_inbox(table)
        except BaseException:
            self.close()
            raise

    def _prepare(self, native: NativeTable, earlier: str) -> None:
        with self._file.failures(StartupError), self._file.transaction():
            native.take_over(earlier)
            self._table.create()
            if self._other.present():
                move(self._other, self._table, time.time_ns() // 1000)

    @classmethod
    def sql(cls, options: Mapping[str, Any]) -> str:
        _file_class()
        from .inbox import statement

        return f"{statement(options.get('table', _DEFAULT_TABLE))};\n"

    @classmethod
    def install_sql(cls, options: Mapping[str, Any]) -> None:
        _file_class()
        from .inbox import install

        table = options.get("table", _DEFAULT_TABLE)
        install(_path(options.get("db"), table), table)

    def _open_inbox(self, table: str) -> Inbox:
        # Not before: it imports sqlite3.
        from . import inbox as rows

        with self._file.failures(StartupError):
            self._file.connection.execute(rows.statement(table))
        inbox = rows.Inbox(self._file, table, self._commit_with)
        try:
            inbox.check()
        except QueueError as error:
            raise StartupError(str(error)) from error
        return inbox

    def inbox(self) -> Inbox:
        return self._inbox

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        with self._file.failures(QueueError):
            yield from self._table.jobs()
            if self._other.present():
                # Only unreadable rows are left there.
                yield from self._other.jobs()

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._commit_with(added, done, None)

    def _commit_with(
        self,
        added: Sequence[StoredJob],
        done: Sequence[int],
        also: Callable[[], None] | None,
    ) -> None:
        """Commit a batch, and what `also` executes in the same transaction."""
        self._file.check_it_is_there()
        try:
            with self._file.failures(QueueError):
                self._commit(added, done, also)
        except QueueError as error:
            self._refuse_what_is_too_large(added, error)
            raise

    def _commit(
        self,
        added: Sequence[StoredJob],
        done: Sequence[int],
        also: Callable[[], None] | None,
    ) -> None:
        removes = done or also is not None
        if added or not removes:
            self._file.check_room(sum(map(_size, added)))
        with self._file.transaction():
            self._table.add(added)
            self._table.remove(done)
            if also is not None:
                also()
            if not added and not removes:
                self._file.touch()

    def _refuse_what_is_too_large(
        self, jobs: Sequence[StoredJob], error: QueueError
    ) -> None:
        largest = self._file.largest()
        reasons = {
            job.number: f"a job of {shown(job.function)} has {_size(job)} bytes,"
            f" and a row of SQLite at most {largest}"
            for job in jobs
            if _size(job) > largest
        }
        if reasons:
            raise JobRefused(reasons) from error

    def close(self) -> None:
        self._file.close()


def _path(db: str | Path | None, table: str) -> Path:
    if not db:
        raise ConfigurationError(
            "the queue sqlite needs a file for its jobs: give --sqlite-db FILE"
            " (or, as gearmand spells it, --libsqlite3-db FILE)"
        )
    if not table:
        raise ConfigurationError(
            "the queue's table needs a name: --sqlite-table or --libsqlite3-table"
        )
    return Path(db)


def _file_class() -> "type[File]":
    try:
        from .file import File
    except ImportError as error:
        raise ConfigurationError(
            f"this Python cannot load its module sqlite3 ({error}): install that, or"
            " choose another queue"
        ) from error
    return File


def _size(job: StoredJob) -> int:
    """Return an upper estimate of the bytes of a job's row."""
    names = len(job.function) + len(job.unique) + len(job.reducer or b"")
    return _OTHERS + names + len(job.workload) + len(job.extra)
