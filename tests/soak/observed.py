"""The job server, which prints on SIGUSR2 how much of its memory is in use.

Its resident memory does not show that: allocators keep free memory for reuse, as one
large piece or in holes between the used blocks.
"""

import ctypes
import gc
import os
import signal
import sys
from types import FrameType

from gearman.server.__main__ import main


class _Mallinfo2(ctypes.Structure):
    """The statistics of the C library's allocator: see mallinfo2(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


_mallinfo2 = ctypes.CDLL(None).mallinfo2
_mallinfo2.restype = _Mallinfo2


def _of_sqlite() -> int:
    """Return the bytes that SQLite uses, if the server has it.

    It keeps pages and prepared statements, up to a number that it reaches slowly.
    """
    module = sys.modules.get("_sqlite3")
    if module is None:
        return 0
    used = ctypes.CDLL(module.__file__).sqlite3_memory_used
    used.restype = ctypes.c_int64
    return int(used())


def _tell(number: int, frame: FrameType | None) -> None:
    """Print the memory in use, after a garbage collection."""
    gc.collect()
    info, sqlite = _mallinfo2(), _of_sqlite()
    values = {
        "objects": sys.getallocatedblocks(),
        "bytes": info.uordblks + info.hblkhd - sqlite,
        "free": info.fordblks,
        "sqlite": sqlite,
    }
    words = (f" {name}={value}" for name, value in values.items())
    # Without the buffer of sys.stderr, which is not reentrant: the reader of the line
    # may send the next signal while this handler still writes.
    os.write(sys.stderr.fileno(), f"in use:{''.join(words)}\n".encode())


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, _tell)
    sys.exit(main())
