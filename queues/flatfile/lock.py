"""The lock that keeps two servers from one folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .segments import identity


class Lock:
    """Keeps other servers out of a folder.

    It is the process's: it ends with it, in whatever way. Raises BlockingIOError if
    another one is in.
    """

    def __init__(self, folder: Path) -> None:
        # The folder can't be deleted as long as there is something in it, but not every
        # file system can lock one; and a file can be deleted.
        path = folder / "lock"
        self._fds: list[int] = []
        try:
            self._take(folder, os.O_RDONLY)
            self._take(path, os.O_RDWR | os.O_CREAT)
        except BaseException:
            self.release()
            raise
        self._name = os.fspath(path)
        self._file = identity(os.fstat(self._fds[-1]))

    def _take(self, path: Path, flags: int) -> None:
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        self._fds.append(fd)
        with _unless_unable(flags == os.O_RDONLY):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def holds(self) -> bool:
        """Whether the locked file is still found where it was, and so is the folder."""
        try:
            return identity(os.stat(self._name)) == self._file
        except OSError:
            return False

    def release(self) -> None:
        while self._fds:
            os.close(self._fds.pop())


@contextmanager
def _unless_unable(folder: bool) -> Iterator[None]:
    try:
        yield
    except BlockingIOError:
        raise
    except OSError:
        if not folder:
            raise
