"""The plugin flatfile: a folder for each store, in which writing can be disabled."""

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
    """A context in which every write of this process to a file fails."""
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
