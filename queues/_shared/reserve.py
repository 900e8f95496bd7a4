"""Room on a disk that is kept for removing finished jobs once the disk is full.

A store that fills its own disk could not note what is done any more: that takes room
too. So some is kept by a file, which is deleted when nothing else is left.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


class Reserve:
    """A file of so many bytes that holds nothing. `held` tells whether it is there."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self.held = False

    def take(self) -> None:
        """Make the file if it is not there. Raises OSError if there is no room."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            with open(os.open(self._path, flags, 0o600), "r+b") as file:
                _fill(file, self._size)
        except OSError:
            self.release()
            raise
        self.held = True

    def release(self) -> None:
        """Delete the file, so that others can have its room."""
        self.held = False
        with suppress(OSError):
            os.unlink(self._path)


def _fill(file: BinaryIO, size: int) -> None:
    """Let a file take so many bytes on the disk, whatever they are."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.write(bytes(size))
