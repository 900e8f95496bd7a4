"""A queue plugin in which every commit waits for the test."""

from collections.abc import Iterator, Sequence
from queue import SimpleQueue

from gearman.queue import Queue, StoredJob, Unreadable
from tests.servers import DEADLINE


class Slow(Queue):
    """Ends a commit when the test says how: None for success, or an error to raise."""

    def __init__(self, *stored: StoredJob | Unreadable) -> None:
        self.stored = stored
        self.calls: SimpleQueue[tuple[list[StoredJob], list[int]]] = SimpleQueue()
        self.results: SimpleQueue[Exception | None] = SimpleQueue()
        self.closed = False

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        yield from self.stored

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self.calls.put((list(added), list(done)))
        result = self.results.get(timeout=DEADLINE)
        if result is not None:
            raise result

    def close(self) -> None:
        self.closed = True

    def started(self) -> tuple[list[int], list[int]]:
        """Wait for a commit, and return the numbers of added and of removed jobs."""
        added, done = self.calls.get(timeout=DEADLINE)
        return [job.number for job in added], done

    def call(self, result: Exception | None = None) -> tuple[list[int], list[int]]:
        """Wait for a commit, and let it end in this way."""
        call = self.started()
        self.results.put(result)
        return call
