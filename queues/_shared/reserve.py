"""Room on a disk that is reserved for removing finished jobs when the disk is full.

To record that a job is done takes room too, which a full disk does not have. So a file
occupies some room, and is deleted when no other room is left.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


class Reserve:
    """A file of `size` bytes without content. `held` says whether it exists."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self.held = False

    def take(self) -> None:
        """Create the file unless it exists. Raises OSError if there is no room."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            with open(os.open(self._path, flags, 0o600), "r+b") as file:
                _fill(file, self._size)
        except OSError:
            self.release()
            raise
        self.held = True

    def release(self) -> None:
        """Delete the file, so that its room can be used."""
        self.held = False
        with suppress(OSError):
            os.unlink(self._path)


def _fill(file: BinaryIO, size: int) -> None:
    """Allocate so many bytes for a file on the disk."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.write(bytes(size))
