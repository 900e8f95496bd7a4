"""The standard streams of a process: a tool writes to them without loading a server."""

import os
import sys
from contextlib import suppress
from typing import TextIO


def say(text: str, stream: TextIO | None) -> None:
    """Write `text` to a stream; ignore it if the stream is closed or full."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        # At its end the interpreter would try to write the rest of the buffer again,
        # and print an error.
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def open_standard_streams() -> None:
    """Open /dev/null for each of the descriptors 0 to 2 that is closed.

    Call this first. Otherwise a socket could get such a number, and printed text would
    be sent to a peer.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # os.open returns the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
