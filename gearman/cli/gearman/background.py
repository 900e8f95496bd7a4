"""Running in the background, and the file with the process id."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...errors import StartupError


def detach() -> None:
    """Continue in a child process; this process exits with status 0.

    Output of the child is discarded. Standard input is kept, since jobs may be read
    from it, unless it is a terminal. Raises StartupError if there can be no child.
    """
    sys.stdout.flush()
    try:
        child = os.fork()
    except OSError as error:
        raise StartupError(f"cannot run in the background: {error.strerror}") from error
    if child:
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        if descriptor or os.isatty(0):
            os.dup2(null, descriptor)
    os.close(null)


@contextmanager
def pid_file(path: str) -> Iterator[None]:
    """A context in which the process id is in a file; without a path, there is none.

    The file is overwritten, and removed at the end. Raises StartupError if it can't be
    written.
    """
    if not path:
        yield
        return
    path = os.path.abspath(path)
    try:
        with open(path, "w") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        raise StartupError(
            f"pid file {path!r} cannot be written: {error.strerror}"
        ) from error
    try:
        yield
    finally:
        # Another process may have replaced or removed it.
        with suppress(OSError, ValueError), open(path) as file:
            if int(file.read(32)) == os.getpid():
                os.unlink(path)
