"""The plugin sqlite, with each of its formats; it needs no other process."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

from gearman.queue import load

from .backend import Arguments, Backend


def sqlite(format: str) -> Callable[[Path], AbstractContextManager[Backend]]:
    @contextmanager
    def backend(folder: Path) -> Iterator[Backend]:
        numbers = count()
        yield Backend(
            load("sqlite"),
            lambda: {"db": folder / f"{next(numbers)}.db", "format": format},
            unreachable={"db": folder / "nowhere" / "jobs.db"},
            outage=outage,
        )

    return backend


@contextmanager
def outage(arguments: Arguments) -> Iterator[None]:
    """A context in which the file is moved away."""
    path = arguments["db"]
    away = path.with_suffix(".away")
    path.rename(away)
    yield
    away.rename(path)
