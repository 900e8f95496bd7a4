"""The queue plugin sqlite: background jobs in a file."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gearman.errors import ConfigurationError, JobRefused, QueueError, StartupError
from gearman.queue import Option, StoredJob, Unreadable, shown
from gearman.queue import Queue as _Queue

from .gearmand import GearmandTable
from .tables import NativeTable, move

if TYPE_CHECKING:
    from .file import File

_DEFAULT_TABLE: Final = "gearman_queue"


class Queue(_Queue):
    """Keeps background jobs in the SQLite file that `--sqlite-db` names.

    The file is created if there is none; its folder must exist. While the server runs,
    and after a crash, the latest jobs are in FILE-wal beside it: copy, move or delete
    both or none. FILE-reserve holds nothing but room, 4 MiB, for removing finished jobs
    when the disk is full. One server uses the file at a time, and meanwhile nobody else
    can read it either: stop the server to look into it or to copy it. The file does not
    shrink as jobs are done; their room is used again.

    When the disk is full, jobs are refused until there is room again, also by jobs that
    are done. When a file is deleted, replaced or changed under the server, jobs are
    refused until it is put back; what it held is then only in the server's memory.

    Jobs lie in a table of their own. Those that gearmand has left in its table, which
    `--sqlite-table` names, are moved there at each start, in their order. Stop gearmand
    first: one that is idle goes unnoticed, and can't store jobs any more. Rows that
    can't be read stay where they are and are reported.

    With `--queue-format gearmand`, jobs lie in gearmand's table instead, and those in
    the table of their own are moved back at start: start and stop this server once
    with it, and gearmand can go on with the file. It is slower by a third. Columns
    are added that gearmand does not look at; as long as this server uses the file, no
    field of a job is lost. gearmand itself knows no handles, retries and reducers: it
    gives new handles, and runs jobs with a reducer as plain ones. Its primary key is
    the unique with the function, so a job whose unique is empty, "-", longer than 63
    bytes or the same as that of another job of the function has, for gearmand, a
    made-up unique that begins with "gearman-py:". In rows that gearmand has written,
    NULL as workload or time, on which gearmand would not start, is replaced by an
    empty workload and by 0.
    """

    options = (
        Option(
            "db",
            ("sqlite-db", "libsqlite3-db"),
            "file to keep background jobs in; it is created if there is none",
            "FILE",
            "path",
        ),
        Option(
            "table",
            ("sqlite-table", "libsqlite3-table"),
            "gearmand's table in the file, whose jobs are taken over; the jobs of this"
            " server are in the table NAME_jobs (default: gearman_queue)",
            "NAME",
        ),
        Option(
            "format",
            ("queue-format",),
            "native, or gearmand to keep jobs where and as gearmand does, so that one"
            " can go back to it (default: native)",
            kind=("native", "gearmand"),
        ),
    )

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
    ) -> None:
        self._file = _file_class()(_path(db, table))
        native = NativeTable(self._file.connection, f"{table}_jobs")
        gearmand = GearmandTable(self._file.connection, table)
        in_gearmands = format == "gearmand"
        self._table = gearmand if in_gearmands else native
        self._other = native if in_gearmands else gearmand
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        with self._file.failures(StartupError), self._file.transaction():
            self._table.create()
            if self._other.present():
                move(self._other, self._table, time.time_ns() // 1000)

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        with self._file.failures(QueueError):
            yield from self._table.jobs()
            if self._other.present():
                # All that is there, as the others were moved.
                yield from self._other.jobs()

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._file.check_it_is_there()
        try:
            with self._file.failures(QueueError):
                self._commit(added, done)
        except QueueError as error:
            self._refuse_what_is_too_large(added, error)
            raise

    def _commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        if added or not done:
            self._file.check_room(sum(map(_size, added)))
        with self._file.transaction():
            self._table.add(added)
            self._table.remove(done)
            if not added and not done:
                self._file.touch()

    def _refuse_what_is_too_large(
        self, jobs: Sequence[StoredJob], error: QueueError
    ) -> None:
        largest = self._file.largest()
        reasons = {
            job.number: f"a job of {shown(job.function)} has {len(job.workload)} bytes,"
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
            "the queue sqlite needs a file to keep jobs in: give --sqlite-db FILE"
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
    """Return about how many bytes the row of a job takes, rather more."""
    names = len(job.handle) + len(job.function) + len(job.unique)
    return 200 + names + len(job.workload) + len(job.reducer or b"")
