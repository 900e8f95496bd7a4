"""The job server, which says on SIGUSR2 how much of its memory is in use.

What it has of the system is no measure of that: allocators keep what is free for the
next who needs some, as one large piece or in holes between what is in use.
"""

import ctypes
import gc
import os
import signal
import sys
from types import FrameType

from gearman.server.__main__ import main


class _Mallinfo2(ctypes.Structure):
    """What the C library says of its allocator: see mallinfo2(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


_mallinfo2 = ctypes.CDLL(None).mallinfo2
_mallinfo2.restype = _Mallinfo2


def _tell(number: int, frame: FrameType | None) -> None:
    """Say what is in use besides what only waits for the collector of cycles."""
    gc.collect()
    info = _mallinfo2()
    values = {
        "objects": sys.getallocatedblocks(),
        "bytes": info.uordblks + info.hblkhd,
        "free": info.fordblks,
    }
    words = (f" {name}={value}" for name, value in values.items())
    # Past the buffer of sys.stderr: who reads the line may send the next signal while
    # this one still writes, and a buffer can't be entered twice.
    os.write(sys.stderr.fileno(), f"in use:{''.join(words)}\n".encode())


if __name__ == "__main__":
    signal.signal(signal.SIGUSR2, _tell)
    sys.exit(main())
