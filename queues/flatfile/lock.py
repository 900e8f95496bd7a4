"""The lock that allows only one server to use a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .segments import identity

# Earlier versions lock a file `lock`. They do not start with a folder of that name, and
# its content tells the reason.
_FOLDER: Final = "lock"
_FILE: Final = "written-by-a-later-version-of-gearman-py"


class Lock:
    """Locks a folder for this process.

    The system releases the lock when the process ends, in any way. Raises
    BlockingIOError if another process has the lock, OSError if it can't be taken.
    """

    def __init__(self, folder: Path) -> None:
        # Both are locked: not every file system can lock a folder, and the file could
        # be deleted.
        self._fds: list[int] = []
        path = folder / _FOLDER / _FILE
        try:
            self._take(folder, os.O_RDONLY)
            if path.parent.is_file():
                self._take(path.parent, os.O_RDWR)
                os.unlink(path.parent)
            path.parent.mkdir(0o700, exist_ok=True)
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
        """Whether the path still leads to the locked file."""
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
