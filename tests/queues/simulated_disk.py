"""A disk that can be examined after every step, as it would be after a crash.

It is between the flatfile queue and one folder. System calls that change the folder
are passed on, except that nothing is synced: this module records the durable data.
`step` is called after each call, and also during a write, which is done in pieces.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import pytest
from gearman.queues.flatfile import queue as flatfile
from gearman.queues.flatfile import segments

REAL: Final[dict[str, Callable[..., int]]] = {
    name: getattr(os, name)
    for name in ("open", "pwrite", "ftruncate", "unlink", "rename")
}


class File:
    """The state of a file: its durable bytes, and those that never become durable."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # An open descriptor, so that the inode number is not used again.
        self.keep = REAL["open"](path, os.O_RDONLY)
        self.durable = b""
        self.dirty: set[int] = set()
        self.lost: set[int] = set()

    def written(self, offset: int, size: int) -> None:
        places = range(offset, offset + size)
        self.dirty.update(places)
        self.lost.difference_update(places)

    def truncated(self, size: int) -> None:
        self.dirty = {place for place in self.dirty if place < size}
        self.lost = {place for place in self.lost if place < size}

    def sync_failed(self) -> None:
        """Mark the pages as clean, as Linux does, although they were not written."""
        self.lost |= self.dirty
        self.dirty.clear()

    def synced(self) -> None:
        self.dirty.clear()
        content = bytearray(os.pread(self.keep, 1 << 30, 0))
        for place in self.lost:
            content[place] = 0
        self.durable = bytes(content)


class SimulatedDisk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[int, File] = {}
        self.names: dict[str, int] = {}
        self.last_unlinked = ""
        self.step: Callable[[], None] = lambda: None
        # The number of calls so far, and the calls that will fail.
        self.calls = 0
        self.failing: Callable[[int, str], int] = lambda number, call: 0

    def now(self) -> dict[str, bytes]:
        """Return the files as a new process finds them after a kill."""
        return {path.name: path.read_bytes() for path in self.paths()}

    def paths(self) -> list[Path]:
        """Return the paths of the files, not of the folder in which one is locked."""
        return [path for path in self.folder.iterdir() if not path.is_dir()]

    def after_power_cut(self) -> dict[str, bytes]:
        """Return the files with only the durable data."""
        return {name: self.files[ino].durable for name, ino in self.names.items()}

    def after_power_cut_without_the_last_unlinked(self) -> dict[str, bytes]:
        """Return the files if the last change of a name was written before others."""
        left = self.after_power_cut()
        left.pop(self.last_unlinked, None)
        return left

    def after_power_cut_with_new_names(self) -> dict[str, bytes]:
        """Return the files if the folder was written, but no content."""
        now = self.names_now().items()
        return {name: self.files[ino].durable for name, ino in now}

    def names_now(self) -> dict[str, int]:
        return {path.name: path.stat().st_ino for path in self.paths()}

    def views(self) -> list[dict[str, bytes]]:
        return [
            self.now(),
            self.after_power_cut(),
            self.after_power_cut_without_the_last_unlinked(),
            self.after_power_cut_with_new_names(),
        ]

    def begin(self, call: str) -> None:
        self.calls += 1
        code = self.failing(self.calls, call)
        if code:
            raise OSError(code, os.strerror(code))

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        self.begin("pwrite")
        size = (len(data) + 1) // 2
        written = REAL["pwrite"](fd, data[:size], offset)
        self.files[os.fstat(fd).st_ino].written(offset, written)
        self.step()
        return written

    def sync(self, fd: int) -> None:
        status = os.fstat(fd)
        is_folder = stat.S_ISDIR(status.st_mode)
        try:
            self.begin("sync folder" if is_folder else "sync")
        except OSError:
            if not is_folder:
                self.files[status.st_ino].sync_failed()
            raise
        if not is_folder:
            self.files[status.st_ino].synced()
        elif os.path.samestat(status, self.folder.stat()):
            self.names = self.names_now()
        self.step()

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        if not flags & os.O_CREAT or Path(path).exists():
            return REAL["open"](path, flags, mode)
        self.begin("create")
        fd = REAL["open"](path, flags, mode)
        self.files[os.fstat(fd).st_ino] = File(Path(path))
        self.step()
        return fd

    def ftruncate(self, fd: int, size: int) -> None:
        self.begin("ftruncate")
        REAL["ftruncate"](fd, size)
        self.files[os.fstat(fd).st_ino].truncated(size)
        self.step()

    def unlink(self, path: Path) -> None:
        self.begin("unlink")
        REAL["unlink"](path)
        self.last_unlinked = Path(path).name
        self.step()

    def rename(self, source: Path, target: Path) -> None:
        self.begin("rename")
        REAL["rename"](source, target)
        self.step()


@contextmanager
def calls(**functions: Callable[..., object]) -> Iterator[None]:
    """A context in which the flatfile queue makes these calls, not the system's."""
    with pytest.MonkeyPatch.context() as patch:
        for name, function in functions.items():
            patch.setattr(os, name, function)
        patch.setattr(segments, "_sync_data", functions["fsync"])
        yield


@contextmanager
def simulated_disk(folder: Path) -> Iterator[SimulatedDisk]:
    """A context with a simulated disk for a folder that does not exist yet."""
    disk = SimulatedDisk(folder)
    changed = {name: getattr(disk, name) for name in REAL}
    with pytest.MonkeyPatch.context() as patch, calls(fsync=disk.sync, **changed):
        # The folder is read completely at each look.
        patch.setattr(flatfile, "_RESERVE", 4 * 1024)
        try:
            yield disk
        finally:
            for file in disk.files.values():
                os.close(file.keep)


def real_disk() -> AbstractContextManager[None]:
    """A context with the real calls, except that nothing is synced."""
    return calls(fsync=lambda fd: None, **REAL)
