"""Where the data of jobs comes from: the command line or standard input."""

import os
import stat
from collections import deque
from collections.abc import Iterable

_READ = 1 << 16


class Workloads:
    """Some workloads that are there from the start."""

    # Bytes of input, where that is known.
    size: int | None = None

    def __init__(self, workloads: Iterable[bytes] = ()) -> None:
        self._ready = deque(workloads)
        # Bytes of input that the workloads taken so far stood for.
        self.position = 0

    @property
    def wants_reading(self) -> bool:
        """Whether `read` would bring something, now or later."""
        return False

    @property
    def ended(self) -> bool:
        """Whether nothing is left, and nothing will come."""
        return not self._ready and not self.wants_reading

    def __len__(self) -> int:
        return len(self._ready)

    def take(self) -> bytes:
        """Return the next workload; there must be one."""
        workload = self._ready.popleft()
        self.position += len(workload)
        return workload

    def read(self) -> None:
        """Read what has come; waits if that is nothing."""

    def fileno(self) -> int:
        raise ValueError("there is no descriptor")


class Lines(Workloads):
    """The lines of a file, each as soon as it is there; they may have any length.

    With `strip` their line ends are left out. A last line need not have one.
    """

    def __init__(self, descriptor: int, *, strip: bool = False) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._end = b"" if strip else b"\n"
        self._stripped = len(b"\n") - len(self._end)
        # The line that has not ended yet, in the pieces in which it came.
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
    """Return the bytes that are left in a regular file; None for other files."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return None
    return max(0, status.st_size - os.lseek(descriptor, 0, os.SEEK_CUR))
