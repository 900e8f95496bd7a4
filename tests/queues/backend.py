"""The description of a back end that the contract suite needs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gearman.queue import Queue, StoredJob

Arguments = Mapping[str, Any]

# Bytes of a workload that every back end should store.
LARGE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Backend:
    """A plugin, with its running back end.

    `new_store` returns the arguments with which the plugin opens a new and empty store.
    It must be cheap, since a test may call it hundreds of times.

    The next fields say what the back end can't do; all else is tested. `largest` is the
    size of the largest workload that it stores, in bytes. `forgets` are the fields of a
    job that it does not store: they get their default values. `exclusive` is False if
    it can't detect that another process uses the store, `outlives` is False if its jobs
    end with the process.

    `unreachable` are arguments of a store that can't be opened, None if there is none.
    In the context `outage(arguments)`, the back end of an open store fails; None if
    that is not possible.

    `package` is the folder in which Python finds the plugin; None for the plugins of
    this package.
    """

    plugin: type[Queue]
    new_store: Callable[[], Arguments]
    largest: int = LARGE
    forgets: frozenset[str] = frozenset()
    exclusive: bool = True
    outlives: bool = True
    unreachable: Arguments | None = None
    outage: Callable[[Arguments], AbstractContextManager[None]] | None = None
    package: Path | None = None

    @property
    def name(self) -> str:
        """The name of the plugin."""
        *package, module = self.plugin.__module__.split(".")
        return package[-1] if package else module

    @contextmanager
    def store(self) -> Iterator["Store"]:
        """A context with a new store; at the end, open plugins are closed."""
        store = Store(self, self.new_store())
        try:
            yield store
        finally:
            for queue in store.opened:
                queue.close()

    def kept(self, job: StoredJob) -> StoredJob:
        """Return a job as this back end replays it."""
        plain: dict[str, Any] = {"handle": b"", **StoredJob._field_defaults}
        return job._replace(**{name: plain[name] for name in self.forgets})


@dataclass
class Store:
    """A store that a test can open repeatedly, as a server does at each start."""

    backend: Backend
    arguments: Arguments
    opened: list[Queue] = field(default_factory=list)

    def open(self) -> Queue:
        queue = self.backend.plugin(**self.arguments)
        self.opened.append(queue)
        return queue

    def open_replayed(self) -> Queue:
        """Open the store and skip its replay, which a server does first."""
        queue = self.open()
        list(queue.replay())
        return queue

    def fill(self, *jobs: StoredJob) -> None:
        """Open the store, commit these jobs, and close it."""
        with closing(self.open_replayed()) as queue:
            queue.commit(jobs, [])

    def content(self) -> list[StoredJob]:
        """Open the store, return its jobs, and close it."""
        with closing(self.open()) as queue:
            found = list(queue.replay())
        jobs = [job for job in found if isinstance(job, StoredJob)]
        assert jobs == found
        return jobs
