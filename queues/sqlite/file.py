"""An SQLite file for one process alone: opening, transactions, and what went wrong."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gearman.errors import GearmanError, QueueError, StartupError

from .._shared.reserve import Reserve

# Seconds for which another process may keep the file locked, such as a backup.
_PATIENCE: Final = 1.0

# The lock lasts until the file is closed or the process dies, and shuts out readers
# too, so that a checkpoint always empties the write-ahead log. It has to be asked for
# before that log is first used.
_SETTINGS: Final = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    # Only macOS has it: there a plain fsync does not reach the disk.
    "PRAGMA fullfsync = 1",
    # What one large commit made of the log is given back, down to this many bytes.
    "PRAGMA journal_size_limit = 16777216",
    # Some SQLites fill pages with zeros as they become free, Debian's for one, so that
    # removing a job takes as much of the log as adding it.
    "PRAGMA secure_delete = FAST",
)

# Bytes on the disk that are kept for removals. Twice those of what is added must be
# free beside: they go into the write-ahead log, and from there into the file.
_RESERVE: Final = 4 * 1024 * 1024

_NO_ROOM: Final = (
    "what is left of the disk is kept for removing finished jobs: make room, or wait"
    " until more of them are done"
)

# After these failures there may be room for removals in the reserve. A quota is no full
# disk to SQLite, but an error of writing.
_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)

_NOT_USABLE: Final = (
    "it cannot be opened: let the server's user read and write the file and its folder"
)

# By SQLite's primary result codes.
_ADVICE: Final = {
    sqlite3.SQLITE_BUSY: "another process uses it: end that one, or choose another"
    " file",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database: choose another file",
    sqlite3.SQLITE_READONLY: _NOT_USABLE,
    sqlite3.SQLITE_CANTOPEN: _NOT_USABLE,
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore a copy, or save what is left with"
    " the command .recover of the program sqlite3",
}


class File:
    """An open database.

    What it and its tables are asked to do is done within `failures`.
    """

    def __init__(self, path: Path) -> None:
        """Open a file, or create it. Raises StartupError."""
        self.path = path
        self.check(path)
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
        """Raise StartupError if there can't be such a file, or it can't be used."""
        # Unlike pathlib, they bear with a folder that may not be entered.
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
            timeout=_PATIENCE,
            # Transactions are begun and ended by `transaction` alone.
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            # Names are of any bytes, whatever the type of their column.
            connection.text_factory = bytes
            for setting in _SETTINGS:
                connection.execute(setting).fetchall()
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done within, or nothing of it."""
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
        """Take note of the files' sizes, if they are still those that were opened."""
        with suppress(OSError):
            found = self._found()
            if [file[:2] for file in found] == [file[:2] for file in self._known]:
                self._known = found

    def _use_reserve(self) -> None:
        """Make room for removals: empty the log into the file, which may have to grow.

        A large transaction would take all the room for the log otherwise.
        """
        self._reserve.release()
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def touch(self) -> None:
        """Write, within a transaction, without changing anything."""
        ((version,),) = self.connection.execute("PRAGMA user_version").fetchall()
        self.connection.execute(f"PRAGMA user_version = {version}")

    def check_it_is_there(self) -> None:
        """Raise QueueError if the path leads elsewhere: what is written would be lost.

        Whoever deletes, replaces or cuts the file, or the write-ahead log beside it,
        takes it from under the server, which would go on with the one that nobody can
        find again.
        """
        try:
            there = self._found() == self._known
        except OSError:
            there = False
        if not there:
            raise QueueError(
                f"the queue file {self.path}, or {self.path.name}-wal beside it, was"
                " deleted, replaced or changed while in use, and"
                " the jobs in it are kept in memory only: put it back, or let the"
                " workers finish them and restart the server"
            )

    def _found(self) -> list[tuple[int, int, int]]:
        """Return which files there are, and their sizes: nobody else changes those."""
        files = map(os.stat, self._names)
        return [(status.st_dev, status.st_ino, status.st_size) for status in files]

    def check_room(self, size: int) -> None:
        """Raise QueueError if so many bytes could not be added and removed again."""
        status = os.statvfs(self._names[0])
        free = status.f_bavail * status.f_frsize
        if free < 2 * size or not self._reserve.held:
            self._look_for_room(size, free)

    def _look_for_room(self, size: int, free: int) -> None:
        """Raise QueueError unless the file itself has room, or the reserve is back."""
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
        """Raise this kind of error where SQLite fails within."""
        try:
            yield
        except (sqlite3.Error, OverflowError, OSError) as error:
            raise kind(self._sentence(error)) from error

    def _sentence(self, error: Exception) -> str:
        """Tell a user what went wrong and what to do."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        advice = _ADVICE.get(code, "it failed")
        return f"the queue file {self.path}: {advice} ({error})"

    def close(self) -> None:
        """Release the file. Does not fail."""
        self._reserve.release()
        with suppress(sqlite3.Error):
            self.connection.close()


def _is_usable(path: Path) -> bool:
    # It must not be opened to find out: closing it would drop SQLite's locks.
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.R_OK | os.W_OK, effective_ids=effective)
