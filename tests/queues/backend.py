"""What the contract suite has to know of a back end, to run on it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gearman.queue import Queue, StoredJob

Arguments = Mapping[str, Any]

# A workload that every back end ought to store (bytes).
LARGE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Backend:
    """A plugin, with all that it needs running.

    `new_store` returns the arguments by which the plugin opens a store that is new
    and empty; it is cheap, as a test may want hundreds.

    What follows says what the back end can't do, so that everything else is tested.
    `largest` is the number of bytes of the largest workload it stores. `forgets` are
    the fields of a job that it does not keep: they come back as in a job that was
    made without them. `exclusive` is False if it can't tell that another process has
    the store open, `outlives` if its jobs end with the process.

    `unreachable` are arguments that point to a store that can't be opened, None if
    there is no such thing. While `outage(arguments)` is entered, the back end of a
    store that is open fails; None if it can't.

    `package` is the folder in which Python finds the plugin; None for those that come
    with this package.
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
        """What the plugin is chosen by."""
        *package, module = self.plugin.__module__.split(".")
        return package[-1] if package else module

    @contextmanager
    def store(self) -> Iterator["Store"]:
        """Yield a new store, and close afterwards what the test left open."""
        store = Store(self, self.new_store())
        try:
            yield store
        finally:
            for queue in store.opened:
                queue.close()

    def kept(self, job: StoredJob) -> StoredJob:
        """Return a job as this back end gives it back."""
        plain: dict[str, Any] = {"handle": b"", "retries": 0, "reducer": None}
        return job._replace(**{name: plain[name] for name in self.forgets})


@dataclass
class Store:
    """A store that a test can open again and again, as a server does at each start."""

    backend: Backend
    arguments: Arguments
    opened: list[Queue] = field(default_factory=list)

    def open(self) -> Queue:
        queue = self.backend.plugin(**self.arguments)
        self.opened.append(queue)
        return queue

    def open_replayed(self) -> Queue:
        """Open it and pass over what it replays, which a server does before all."""
        queue = self.open()
        list(queue.replay())
        return queue

    def fill(self, *jobs: StoredJob) -> None:
        """Commit these jobs, and close."""
        with closing(self.open_replayed()) as queue:
            queue.commit(jobs, [])

    def content(self) -> list[StoredJob]:
        """Open it, return the jobs that it replays, and close."""
        with closing(self.open()) as queue:
            found = list(queue.replay())
        jobs = [job for job in found if isinstance(job, StoredJob)]
        assert jobs == found
        return jobs
