"""What has happened to the jobs of a function: counts, and how long things took.

The compiled build has another version of this file, with the same meaning.
"""

from bisect import bisect_left
from itertools import accumulate

# A histogram has a bucket for each of these longest times, in seconds: 1 ms, 2 ms, 4 ms
# and so on, over a day; and one bucket more for what took longer.
BUCKETS = 28
BOUNDS = tuple(2**number / 1000 for number in range(BUCKETS))


class Histogram:
    """How often something took how long.

    `total` is the sum of all times, in seconds.
    """

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        # In an array, counting would take longer.
        self._counts = [0] * (BUCKETS + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count something that took so long."""
        self.total += seconds
        self._counts[bisect_left(BOUNDS, seconds)] += 1

    def counts(self) -> list[int]:
        """Return a number for each bucket."""
        return self._counts.copy()

    def sums(self) -> list[int]:
        """Return a number for each bucket: of all times up to that of the bucket."""
        return [*accumulate(self._counts)]

    def count(self) -> int:
        """Return how many times were added."""
        return sum(self._counts)

    def merge(self, other: "Histogram") -> None:
        """Add all times of another histogram."""
        self.total += other.total
        for bucket, count in enumerate(other._counts):
            self._counts[bucket] += count


class Stats:
    """What has happened to the jobs of a function since it became known.

    Of jobs: `submitted` counts those that were created, `joined` the submissions that
    joined one of them; `completed`, `failed` and `exceptions` what workers sent for
    them; `retried` the failed attempts that another one follows; `given_up` those that
    failed for good although they were to be tried again or kept, or lost their workers
    too often; of these, `expired` have waited for too long. `cancelled` were cancelled
    by an admin, `abandoned` had no client left, `passed_on` were accepted by another
    server. `lost` counts workers that were lost with a job, `timeouts` those that took
    too long.

    `bytes_in` and `bytes_out` are the bytes of workloads, and of results and data.
    `waits` has the times that jobs waited in their queue for a worker, `runs` how long
    workers had them: its count is that of all starts that have ended.
    """

    # fmt: off
    __slots__ = (
        "abandoned", "bytes_in", "bytes_out", "cancelled", "completed", "exceptions",
        "expired", "failed", "given_up", "joined", "lost", "passed_on", "retried",
        "runs", "submitted", "timeouts", "waits",
    )
    # fmt: on

    def __init__(self) -> None:
        self.submitted = 0
        self.joined = 0
        self.completed = 0
        self.failed = 0
        self.exceptions = 0
        self.retried = 0
        self.given_up = 0
        self.expired = 0
        self.cancelled = 0
        self.abandoned = 0
        self.passed_on = 0
        self.lost = 0
        self.timeouts = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.waits = Histogram()
        self.runs = Histogram()

    def merge(self, other: "Stats") -> None:
        """Add all that has happened to the jobs of another function."""
        for name in COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.waits.merge(other.waits)
        self.runs.merge(other.runs)


# The attributes of Stats that are numbers.
COUNTERS = (
    *("submitted", "joined", "completed", "failed", "exceptions", "retried"),
    *("given_up", "expired", "cancelled", "abandoned", "passed_on"),
    *("lost", "timeouts"),
    *("bytes_in", "bytes_out"),
)
