"""Which numbers have jobs, so that a page of a long list is found at once.

A list of the numbers of a million jobs takes more time to copy than other peers should
wait. So the numbers are divided into ranges, and a list is made range by range.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping

from ..constants import RANGE
from ..model import Job

# So many ranges without jobs are not worth a look.
FEW = 64


class Ranges:
    """The ranges of numbers that have jobs of the table `known`, in order.

    The owner of the table calls `add` after it has added a job whose number is not from
    `first` to `last`. When jobs are removed, nothing is done: ranges without jobs are
    dropped when others are added.
    """

    def __init__(self, known: Mapping[int, Job]) -> None:
        self.first = 0
        self.last = -1
        self._known = known
        # The first numbers of the ranges; and which of these to look at next.
        self._starts: list[int] = []
        self._next = 0

    def add(self, number: int) -> None:
        """Add the range of a number, if it is not there."""
        start = number - number % RANGE
        self.first = start
        self.last = start + RANGE - 1
        at = bisect_left(self._starts, start)
        if at == len(self._starts) or self._starts[at] != start:
            self._starts.insert(at, start)
            if len(self._starts) > FEW + 2 * len(self._known) // RANGE:
                self._drop_some()

    def start_after(self, number: int) -> int:
        """Return the start of the first range with numbers above this one; or -1."""
        at = bisect_right(self._starts, number)
        if at and number < self._starts[at - 1] + RANGE - 1:
            return self._starts[at - 1]
        return self._starts[at] if at < len(self._starts) else -1

    def numbers(self, start: int) -> list[int]:
        """Return the numbers of the jobs in a range, in order."""
        known = self._known
        return [number for number in range(start, start + RANGE) if number in known]

    def _drop_some(self) -> None:
        """Drop ranges that have no jobs: all, or a few if that would take long."""
        if len(self._known) <= RANGE:
            self._starts = sorted({n - n % RANGE for n in self._known})
            return
        for _ in range(2):
            self._next %= len(self._starts)
            if self._has_jobs(self._starts[self._next]):
                self._next += 1
            else:
                del self._starts[self._next]

    def _has_jobs(self, start: int) -> bool:
        """Whether a range has jobs: the first one decides, of few or many."""
        known = self._known
        # Compiled, a generator for `any` would take longer than a loop.
        for number in range(start, start + RANGE):  # noqa: SIM110
            if number in known:
                return True
        return False
