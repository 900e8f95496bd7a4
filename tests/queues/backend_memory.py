"""The simplest possible plugin, with which the contract suite passes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

from gearman.errors import JobRefused, QueueError, StartupError
from gearman.queue import Option, Queue, StoredJob

from .backend import Arguments, Backend

LARGEST: Final = 1_000_000


class MemoryQueue(Queue):
    """Keeps jobs in this process, in a dictionary with the name `--memory-name`.

    A store with the name "" can't be opened.
    """

    options = (Option("name", ("memory-name", "dict"), "which store to use", "NAME"),)

    stores: Final[dict[str, dict[int, StoredJob]]] = {}
    in_use: Final[set[str]] = set()
    failing: Final[set[str]] = set()

    def __init__(self, *, name: str = "default") -> None:
        self._open = False
        if not name:
            raise StartupError("a store in memory needs a name: give --memory-name")
        if name in self.in_use:
            raise StartupError(f"the store {name} is in use: close it first")
        self.in_use.add(name)
        self._name, self._open = name, True
        self._jobs = self.stores.setdefault(name, {})

    def replay(self) -> Iterator[StoredJob]:
        for number in sorted(self._jobs):
            yield self._jobs[number]

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        if self._name in self.failing:
            raise QueueError("the memory does not work at the moment")
        refused = {
            job.number: f"the workload of {job.function!r} has over {LARGEST} bytes"
            for job in added
            if len(job.workload) > LARGEST
        }
        if refused:
            raise JobRefused(refused)
        self._jobs.update((job.number, job) for job in added)
        for number in done:
            self._jobs.pop(number, None)

    def close(self) -> None:
        if self._open:
            self._open = False
            self.in_use.remove(self._name)


@contextmanager
def memory(folder: Path) -> Iterator[Backend]:
    names = map("test {}".format, count())
    yield Backend(
        MemoryQueue,
        lambda: {"name": next(names)},
        largest=LARGEST,
        outlives=False,
        unreachable={"name": ""},
        outage=outage,
    )


@contextmanager
def outage(arguments: Arguments) -> Iterator[None]:
    MemoryQueue.failing.add(arguments["name"])
    yield
    MemoryQueue.failing.remove(arguments["name"])
