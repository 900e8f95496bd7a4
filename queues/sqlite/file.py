"""An SQLite file for a single process: opening, transactions, error messages."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gearman.errors import GearmanError, QueueError, StartupError

from .._shared.reserve import Reserve
from .owner import Owner

# Seconds to wait if another process, such as a backup, has locked the file.
_PATIENCE: Final = 1.0
# The same, if other programs write to the file in transactions of their own.
_LONG_PATIENCE: Final = 10.0

# The exclusive lock lasts until the file is closed or the process dies. It excludes
# readers too, so that a checkpoint always empties the write-ahead log. It must be set
# before that log is first used.
_EXCLUSIVE: Final = "PRAGMA locking_mode = EXCLUSIVE"
_SETTINGS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    # Only for macOS, where a plain fsync does not write to the disk.
    "PRAGMA fullfsync = 1",
    # After a large commit, the log is truncated to so many bytes.
    "PRAGMA journal_size_limit = 16777216",
    # Some builds of SQLite, such as Debian's, overwrite free pages with zeros. Removing
    # a job would then take as much of the log as adding it.
    "PRAGMA secure_delete = FAST",
)

# Bytes on the disk that are reserved for removals. In addition, twice the bytes that
# are added must be free: they are written to the write-ahead log, and then to the file.
_RESERVE: Final = 4 * 1024 * 1024

_NO_ROOM: Final = (
    "the rest of the disk is reserved for removing finished jobs: make room, or wait"
    " until more jobs are done"
)

# The errors of a full disk, after which the reserve is used. SQLite reports an exceeded
# quota as an I/O error.
_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)

_NOT_USABLE: Final = (
    "it cannot be opened: let the server's user read and write the file and its folder"
)

# Advice for SQLite's primary result codes.
_ADVICE: Final = {
    sqlite3.SQLITE_BUSY: "another process uses it: end that one, or choose another"
    " file",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite database: choose another file",
    sqlite3.SQLITE_READONLY: _NOT_USABLE,
    sqlite3.SQLITE_CANTOPEN: _NOT_USABLE,
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore a copy, or recover the rest with"
    " the command .recover of the program sqlite3",
}


class File:
    """An open database.

    Use it, and its tables, within the context `failures`. If it is `shared`, other
    programs may use the file too, but no other server.
    """

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        """Open a file, or create it. Raises StartupError."""
        self.path = path
        self._shared = shared
        self.check(path)
        self._owner = Owner(path) if shared else None
        self._names = os.fspath(path), f"{os.fspath(path)}-wal"
        self._known: list[tuple[int, int, int]] = []
        self._reserve = Reserve(path.with_name(f"{path.name}-reserve"), _RESERVE)
        with self.failures(StartupError):
            self.connection = self._connect()
            with self.transaction():
                # From now on there is a write-ahead log.
                self._known = self._found()
        with suppress(OSError):
            self._reserve.take()

    @staticmethod
    def check(path: Path) -> None:
        """Raise StartupError if the file can't be created or used."""
        # os.path, since pathlib raises if a folder may not be entered.
        if not os.path.isdir(path.parent):
            raise StartupError(
                f"the queue file {path} cannot be created: make its folder"
                f" {path.parent} first, and let the server's user enter it"
            )
        usable = _is_usable(path) if os.path.exists(path) else True
        if not usable or not _is_usable(path.parent):
            raise StartupError(f"the queue file {path}: {_NOT_USABLE}")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=_LONG_PATIENCE if self._shared else _PATIENCE,
            # Only `transaction` begins and ends transactions.
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            # Names are any bytes, whatever the type of their column is.
            connection.text_factory = bytes
            for setting in _SETTINGS if self._shared else (_EXCLUSIVE, *_SETTINGS):
                connection.execute(setting).fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A context whose changes are committed together, or not at all."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:
                with suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _FULL:
                self._use_reserve()
            raise
        finally:
            self._take_sizes()

    def _take_sizes(self) -> None:
        """Record the sizes of the files, if they are still the opened ones."""
        with suppress(OSError):
            found = self._found()
            if [file[:2] for file in found] == [file[:2] for file in self._known]:
                self._known = found

    def _use_reserve(self) -> None:
        """Make room for removals: move the log into the file, which may have to grow.

        Otherwise the log of a large transaction would use all of the room.
        """
        self._reserve.release()
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def touch(self) -> None:
        """Write to the file without changing data; call it in a transaction."""
        ((version,),) = self.connection.execute("PRAGMA user_version").fetchall()
        self.connection.execute(f"PRAGMA user_version = {version}")

    def check_it_is_there(self) -> None:
        """Raise QueueError if the file or its write-ahead log was deleted or replaced.

        It is also raised if one was cut. The open connection would still write to the
        old files, whose data would be lost at the end.
        """
        try:
            there = self._found() == self._known
        except OSError:
            there = False
        if not there:
            raise QueueError(
                f"the queue file {self.path}, or its log {self.path.name}-wal, was"
                " deleted, replaced or changed while in use, and its jobs are now in"
                " the server's memory only: restore it, or let the workers finish the"
                " jobs and restart the server"
            )

    def _found(self) -> list[tuple[int, int, int]]:
        """Return the identities of the files; also sizes, if only this one writes."""
        return [
            (status.st_dev, status.st_ino, 0 if self._shared else status.st_size)
            for status in map(os.stat, self._names)
        ]

    def check_room(self, size: int) -> None:
        """Raise QueueError if there is no room to add and remove so many bytes."""
        status = os.statvfs(self._names[0])
        free = status.f_bavail * status.f_frsize
        if free < 2 * size or not self._reserve.held:
            self._look_for_room(size, free)

    def _look_for_room(self, size: int, free: int) -> None:
        """Raise QueueError if there are no free pages, and no room for the reserve."""
        ((pages,),) = self.connection.execute("PRAGMA freelist_count").fetchall()
        ((bytes_of_one,),) = self.connection.execute("PRAGMA page_size").fetchall()
        if pages * bytes_of_one >= 2 * size + _RESERVE:
            return
        try:
            if free < 2 * size + _RESERVE:
                raise OSError
            self._reserve.take()
        except OSError:
            raise QueueError(f"the queue file {self.path}: {_NO_ROOM}") from None

    def largest(self) -> int:
        """Return how many bytes a row may have."""
        return self.connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)

    @contextmanager
    def failures(self, kind: type[GearmanError]) -> Iterator[None]:
        """A context that raises this kind of error if SQLite fails."""
        try:
            yield
        except (sqlite3.Error, OverflowError, OSError) as error:
            raise kind(self._sentence(error)) from error

    def _sentence(self, error: Exception) -> str:
        """Return a sentence for the user: what went wrong, and what to do."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        advice = _ADVICE.get(code, "it failed")
        return f"the queue file {self.path}: {advice} ({error})"

    def close(self) -> None:
        """Release the file. Does not fail."""
        self._reserve.release()
        with suppress(sqlite3.Error):
            self.connection.close()
        if self._owner is not None:
            self._owner.release()


def _is_usable(path: Path) -> bool:
    # Opening the file to find out is not possible: closing it would drop SQLite's
    # locks.
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.R_OK | os.W_OK, effective_ids=effective)
