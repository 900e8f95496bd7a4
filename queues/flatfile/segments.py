"""The files of the flatfile queue: segments, which are only appended to.

The file of a segment is called `NUMBER-MARK.jobs`; later ones have higher numbers. The
first record of a segment has the number and the end of the segment before. So a segment
whose last write failed can be left as it is: bytes after that end are ignored.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

from .._shared.records import (
    HEADER_SIZE,
    Header,
    Seal,
    Window,
    decode_header,
    encode_header,
)

_NAME: Final = re.compile(r"(\d{12})-([0-9a-f]{8})\.jobs")
_SET_ASIDE: Final = ".damaged"
# The unit in which a file is read after the device has failed to read a part of it.
_PAGE: Final = 4096
_FLAGS: Final = os.O_RDWR | os.O_CLOEXEC


def identity(status: os.stat_result) -> tuple[int, int]:
    """Return the identity of a file or folder: device and inode."""
    return status.st_dev, status.st_ino


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable: new, renamed and deleted files."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# Not on macOS.
_sync_data = getattr(os, "fdatasync", os.fsync)


class Segment:
    """A file of records. Methods raise OSError.

    `end` is the offset of the next record. A segment is `damaged` if parts of it can't
    be read; it is then never deleted. It is `abandoned` if a failed write could not be
    undone, so that nothing more may be written to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = os.fspath(path)
        name = _NAME.fullmatch(path.name)
        assert name is not None
        self.number = int(name[1])
        self.seal = Seal(bytes.fromhex(name[2]), crc32(name[0].encode()))
        self.end = 0
        self.damaged = False
        self.abandoned = False
        self._fd = -1
        # The identity of the file, once it was opened for writing.
        self._file: tuple[int, int] | None = None

    @classmethod
    def create(cls, folder: Path, number: int, header: Header) -> "Segment":
        """Create a segment; on return it is durable, and its name too."""
        segment = cls(folder / f"{number:012}-{os.urandom(4).hex()}.jobs")
        try:
            flags = _FLAGS | os.O_CREAT | os.O_EXCL
            segment._fd = os.open(segment.path, flags, 0o600)
            segment._file = identity(os.fstat(segment._fd))
            segment.append(encode_header(header, segment.seal))
            sync_folder(folder)
        except OSError:
            segment.close()
            # If that fails, the next start finds that the file is empty.
            with suppress(OSError):
                os.unlink(segment.path)
            raise
        return segment

    def reopen(self) -> None:
        """Open the file for appending, and make its content durable.

        The content may not be durable if the process that wrote it has died.
        """
        self._fd = os.open(self.path, _FLAGS)
        self._file = identity(os.fstat(self._fd))
        os.ftruncate(self._fd, self.end)
        os.fsync(self._fd)

    def append(self, data: bytes) -> None:
        """Append data; on return it is durable. If it fails, nothing has changed."""
        try:
            self._write(data)
        except OSError:
            self._undo()
            raise
        try:
            _sync_data(self._fd)
        except OSError:
            # The kernel has marked the pages as clean, although they are not on the
            # disk: a second sync would succeed without writing them. Only data that is
            # written again, to other pages, is reliable.
            self.abandoned = True
            raise
        self.end += len(data)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        offset = self.end
        while left:
            written = os.pwrite(self._fd, left, offset)
            left, offset = left[written:], offset + written

    def _undo(self) -> None:
        try:
            os.ftruncate(self._fd, self.end)
        except OSError:
            self.abandoned = True

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with suppress(OSError):
                os.close(fd)

    def window(self) -> Window:
        return Window(self.read, self.end, self.seal)

    def header(self) -> Header | None:
        """Return the first record, None if it can't be read."""
        body = Window(self.read, HEADER_SIZE, self.seal).body(0)
        return None if body is None else decode_header(body)

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the file, with zeros for pages that can't be read."""
        # Opened each time, since a store may have thousands of segments.
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, size, offset)
        except OSError:
            return b"".join(_read_pages(fd, offset, size))
        finally:
            os.close(fd)

    def delete(self) -> None:
        os.unlink(self.path)

    def is_there(self) -> bool:
        """Whether the path still leads to this file, with all its bytes."""
        try:
            status = os.stat(self._name)
        except OSError:
            return False
        same = self._file in (None, identity(status))
        return same and status.st_size >= self.end

    def set_aside(self) -> Path:
        """Rename the file, so that no more jobs are read from it."""
        path = self.path.with_name(self.path.name + _SET_ASIDE)
        os.rename(self.path, path)
        return path


def _read_pages(fd: int, offset: int, size: int) -> Iterator[bytes]:
    for position in range(offset, offset + size, _PAGE):
        wanted = min(_PAGE, offset + size - position)
        try:
            yield os.pread(fd, wanted, position)
        except OSError:
            yield bytes(wanted)


def find(folder: Path) -> list[Segment]:
    """Return the segments of a folder, oldest first; `end` is the size of the file.

    Empty segments, whose creation failed, are deleted.
    """
    paths = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    found: list[Segment] = []
    for segment in map(Segment, reversed(paths)):
        segment.end = segment.path.stat().st_size
        if _is_leftover(segment, found[-1].header() if found else None):
            segment.delete()
        else:
            found.append(segment)
    return found[::-1]


def _is_leftover(segment: Segment, following: Header | None) -> bool:
    """Whether a segment was never used; `following` is the next segment's header."""
    if segment.end > HEADER_SIZE:
        return False
    skipped = following is not None and following.previous != segment.number
    return skipped or segment.header() is None


def set_aside(folder: Path) -> list[Path]:
    """Return the files of damaged segments that are no longer in use."""
    return sorted(path for path in folder.iterdir() if path.suffix == _SET_ASIDE)
