"""How often something took how long, as `show stats` tells it."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import Final

# Bucket n has what took at most 2^n ms; the last one has what took longer.
BUCKETS: Final = 29


@dataclass(frozen=True, slots=True)
class Histogram:
    """The sum of all times, in seconds, and a number for each bucket.

    Zeros at the end of `counts` are left out.
    """

    seconds: float = 0.0
    counts: tuple[int, ...] = ()

    def count(self) -> int:
        """Return how many times there are."""
        return sum(self.counts)

    def since(self, older: "Histogram") -> "Histogram":
        """Return what came after an older histogram.

        If any number is smaller than then, the server began again: all of it is new.
        """
        pairs = list(zip_longest(self.counts, older.counts, fillvalue=0))
        if any(new < old for new, old in pairs):
            return self
        counts = [new - old for new, old in pairs]
        return Histogram(max(self.seconds - older.seconds, 0.0), _stripped(counts))

    def quantile(self, share: float) -> float | None:
        """Return the time that this share of all times does not exceed, in seconds.

        It is interpolated within its bucket; None if there are no times.
        """
        count = self.count()
        if not count:
            return None
        wanted = share * count
        sums = list(accumulate(self.counts))
        number = next(n for n, total in enumerate(sums) if total and total >= wanted)
        upper: float = (1 << number) / 1000
        lower = upper / 2 if number else 0.0
        before = sums[number] - self.counts[number]
        return lower + (upper - lower) * (wanted - before) / self.counts[number]

    def mean(self) -> float | None:
        """Return the average time in seconds, None if there are no times."""
        count = self.count()
        return self.seconds / count if count else None


def total(histograms: Iterable[Histogram]) -> Histogram:
    """Return all times of several histograms."""
    seconds, counts = 0.0, [0] * BUCKETS
    for each in histograms:
        seconds += each.seconds
        for number, count in enumerate(each.counts):
            counts[number] += count
    return Histogram(seconds, _stripped(counts))


def _stripped(counts: list[int]) -> tuple[int, ...]:
    while counts and not counts[-1]:
        counts.pop()
    return tuple(counts)
