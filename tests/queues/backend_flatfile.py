"""A folder for each store; writing to files can be forbidden."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from gearman.queues.flatfile.queue import Queue

from .backend import Arguments, Backend


@contextmanager
def flatfile(folder: Path) -> Iterator[Backend]:
    numbers = count()
    yield Backend(
        Queue,
        lambda: {"folder": str(folder / str(next(numbers)))},
        unreachable={"folder": str(folder / "missing" / "store")},
        outage=outage,
    )


@contextmanager
def outage(arguments: Arguments) -> Iterator[None]:
    """Let every write to a file of this process fail."""
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
