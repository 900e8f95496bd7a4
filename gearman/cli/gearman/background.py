"""Running without a terminal, and the file with the process id."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...errors import StartupError


def detach() -> None:
    """Go on in a child of this process, which exits with status 0.

    Output goes nowhere from then on. Standard input stays, for the jobs that may be
    in it, unless it is a terminal. Raises StartupError if there can be no child.
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
    """Have the process id in a file; without a path there is none.

    What is in the file is replaced. Raises StartupError if that is impossible.
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
