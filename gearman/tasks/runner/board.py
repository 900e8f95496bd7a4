"""A board that a process writes on, and its parent reads: which jobs it runs now.

It is memory that both share. So it costs no system call for each job, and the parent
can read it even if the process does not run Python code any more: a job that hangs in
C code has to be seen. A row that is being written has an odd number; the reader skips
it, and sees it the next time.
"""

import mmap
import struct
from collections.abc import Iterator
from threading import Lock
from typing import Final

from .model.actions import RunningJob

# What a row has: its number, progress, start, timeout, function, handle. Longer names
# are cut.
_ROW: Final = struct.Struct("<Qddd104s120s")
_NUMBER: Final = struct.Struct("<Q")
_PROGRESS: Final = struct.Struct("<d")
_NO_PROGRESS: Final = -1.0
# Jobs that have ended, and those of them that have failed.
_HEAD: Final = struct.Struct("<QQ")


class Board:
    """`rows` is how many jobs may run at a time."""

    def __init__(self, rows: int) -> None:
        self._memory = mmap.mmap(-1, _HEAD.size + rows * _ROW.size)
        self._free = list(range(rows - 1, -1, -1))
        self._taken: dict[tuple[str, str], int] = {}
        self._lock = Lock()
        self._done = self._failed = 0

    def started(self, job: RunningJob) -> None:
        """Write down that a job runs. More jobs than rows are not seen."""
        with self._lock:
            # Two servers may give jobs the same handle.
            if self._free and (job.function, job.handle) not in self._taken:
                row = self._taken[job.function, job.handle] = self._free.pop()
                function, handle = job.function.encode(), job.handle.encode()
                self._write(row, job.started, job.timeout, function, handle)

    def ended(self, function: str, handle: str, *, failed: bool) -> None:
        """Write down that a job has ended."""
        with self._lock:
            self._done += 1
            self._failed += failed
            _HEAD.pack_into(self._memory, 0, self._done, self._failed)
            row = self._taken.pop((function, handle), None)
            if row is not None:
                self._write(row, 0.0, 0.0, b"", b"")
                self._free.append(row)

    def progress(self, function: str, handle: str, progress: float) -> None:
        """Write down how far a running job is, from 0 to 1."""
        with self._lock:
            row = self._taken.get((function, handle))
            if row is not None:
                place = _HEAD.size + row * _ROW.size + _NUMBER.size
                _PROGRESS.pack_into(self._memory, place, progress)

    def _write(
        self, row: int, started: float, timeout: float, function: bytes, handle: bytes
    ) -> None:
        place = _HEAD.size + row * _ROW.size
        (number,) = _NUMBER.unpack_from(self._memory, place)
        _NUMBER.pack_into(self._memory, place, number + 1)
        times = _NO_PROGRESS, started, timeout
        _ROW.pack_into(self._memory, place, number + 1, *times, function, handle)
        _NUMBER.pack_into(self._memory, place, number + 2)

    # For the parent.

    def jobs(self) -> list[RunningJob]:
        """Return the jobs that run."""
        return list(self._jobs())

    def _jobs(self) -> Iterator[RunningJob]:
        for place in range(_HEAD.size, len(self._memory), _ROW.size):
            number, *fields = _ROW.unpack_from(self._memory, place)
            if number % 2 or number != _NUMBER.unpack_from(self._memory, place)[0]:
                continue
            progress, started, timeout, function, handle = fields
            if started:
                known = None if progress < 0 else progress
                names = _text(function), _text(handle)
                yield RunningJob(*names, started, timeout, known)

    def counts(self) -> tuple[int, int]:
        """Return how many jobs have ended, and how many of them have failed."""
        done, failed = _HEAD.unpack_from(self._memory)
        return done, failed

    def close(self) -> None:
        self._memory.close()


def _text(name: bytes) -> str:
    return name.rstrip(b"\0").decode(errors="replace")
