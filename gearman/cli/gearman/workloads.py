"""The workloads of jobs, from the command line or standard input."""

import os
import stat
from collections import deque
from collections.abc import Iterable

_READ = 1 << 16


class Workloads:
    """Workloads that are all known from the start."""

    # Bytes of input, if that is known.
    size: int | None = None

    def __init__(self, workloads: Iterable[bytes] = ()) -> None:
        self._ready = deque(workloads)
        # Bytes of input of the workloads taken so far.
        self.position = 0

    @property
    def wants_reading(self) -> bool:
        """Whether `read` can return more workloads, now or later."""
        return False

    @property
    def ended(self) -> bool:
        """Whether there are no more workloads."""
        return not self._ready and not self.wants_reading

    def __len__(self) -> int:
        return len(self._ready)

    def take(self) -> bytes:
        """Return the next workload; there must be one."""
        workload = self._ready.popleft()
        self.position += len(workload)
        return workload

    def read(self) -> None:
        """Read available input; wait if there is none."""

    def fileno(self) -> int:
        raise ValueError("there is no descriptor")


class Lines(Workloads):
    """The lines of a file, each as soon as it is complete; they may have any length.

    With `strip` the line ends are removed. The last line need not have one.
    """

    def __init__(self, descriptor: int, *, strip: bool = False) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._end = b"" if strip else b"\n"
        self._stripped = len(b"\n") - len(self._end)
        # The incomplete line, in the pieces in which it was read.
        self._pieces: list[bytes] = []
        self._open = True
        self.size = _size(descriptor)

    @property
    def wants_reading(self) -> bool:
        return self._open

    def fileno(self) -> int:
        return self._descriptor

    def take(self) -> bytes:
        self.position += self._stripped
        return super().take()

    def read(self) -> None:
        try:
            data = os.read(self._descriptor, _READ)
        except BlockingIOError:
            return
        if data:
            self._split(data)
            return
        self._open = False
        rest = b"".join(self._pieces)
        if rest:
            self._ready.append(rest)

    def _split(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._ready.append(b"".join([*self._pieces, line, self._end]))
            self._pieces = []
        self._pieces.append(rest)


def _size(descriptor: int) -> int | None:
    """Return the bytes from here to the end of a regular file; None for other files."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return None
    return max(0, status.st_size - os.lseek(descriptor, 0, os.SEEK_CUR))
