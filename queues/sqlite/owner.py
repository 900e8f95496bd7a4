"""The lock of a file that other programs use too: only one server may use it.

SQLite's own locks can't tell servers from other programs.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from gearman.errors import StartupError

_SUFFIX: Final = "-server"


class Owner:
    """Locks a file beside the database; the system releases it with the process."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            self._fd = os.open(path.with_name(f"{path.name}{_SUFFIX}"), flags, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise StartupError(
                f"the queue file {path}: another server uses it: end that one, or"
                " choose another file"
            ) from error
        except OSError as error:
            raise StartupError(
                f"the queue file {path}: its lock {path.name}{_SUFFIX} cannot be"
                f" opened ({error}): let the server's user write there"
            ) from error

    def release(self) -> None:
        """Let another server use the file. May be called more than once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
