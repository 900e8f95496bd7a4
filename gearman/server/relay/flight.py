"""The jobs of a relay that were taken, and not yet accepted by the other server."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ..broker import Job
from .worker import Taken

# So many jobs may be unanswered when a connection is new; each answer allows one more.
# So a server that comes back is not flooded.
FIRST_WINDOW: Final = 16


@dataclass(slots=True, eq=False)
class Passing:
    """A job that is passed on; `number` tells the order in which jobs were taken."""

    number: int
    job: Job
    expires: float
    size: int


class Flight:
    """The jobs that were taken: those that were sent, and those to be sent again.

    At most `most` are unanswered at a time, with `most_bytes` of workloads, unless a
    single one has more.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._window = FIRST_WINDOW
        self._last = 0
        self._size = 0
        self._sent: deque[Passing] = deque()
        self._again: list[Passing] = []

    def __len__(self) -> int:
        return len(self._sent) + len(self._again)

    @property
    def unanswered(self) -> int:
        """How many jobs were sent on this connection, and are not answered."""
        return len(self._sent)

    def has_room(self, count: int, size: int) -> bool:
        """Whether so many jobs more, with so many bytes, may be sent."""
        total = len(self._sent) + count
        if total > min(self._window, self._most):
            return False
        return total == 1 or self._size + size <= self._most_bytes

    def begin(self) -> None:
        """Begin with a new connection, on which nothing was sent."""
        self._window = FIRST_WINDOW

    def add(self, taken: Taken) -> Passing:
        """Add a job that was taken, and is sent now."""
        self._last += 1
        job, expires = taken
        passing = Passing(self._last, job, expires, len(job.workload))
        self.sent(passing)
        return passing

    def sent(self, passing: Passing) -> None:
        """Note that a job is sent."""
        self._sent.append(passing)
        self._size += passing.size

    def answered(self) -> Passing:
        """Return the job that an answer is for. Raises IndexError if there is none."""
        passing = self._sent.popleft()
        self._size -= passing.size
        self._window += 1
        return passing

    def keep(self, passing: Passing) -> None:
        """Keep a job that was refused, to be sent again."""
        self._again.append(passing)

    def due(self, without: Callable[[Job], bool]) -> Iterator[Passing]:
        """Yield jobs to be sent again, in their order, while there is room.

        Jobs for which `without` is true are left for later.
        """
        left: list[Passing] = []
        waiting, self._again = self._again, left
        for number, passing in enumerate(waiting):
            if not self.has_room(1, passing.size):
                left += waiting[number:]
                return
            if without(passing.job):
                left.append(passing)
            else:
                yield passing

    def lost(self) -> None:
        """The connection is lost: all that is unanswered is to be sent again."""
        self._put_back(self._sent)
        self._sent.clear()
        self._size = 0

    def _put_back(self, several: Iterable[Passing]) -> None:
        self._again = sorted([*self._again, *several], key=_number)

    def clear(self) -> list[Job]:
        """Forget all jobs, and return them in their order."""
        self.lost()
        jobs = [passing.job for passing in self._again]
        self._again = []
        return jobs


def _number(passing: Passing) -> int:
    return passing.number
