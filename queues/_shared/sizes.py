"""Workloads that are too large, and how many rows of an inbox are read at a time."""

from collections.abc import Sequence

from gearman.errors import JobRefused
from gearman.queue import StoredJob


def refuse_large(jobs: Sequence[StoredJob], largest: int, taker: str) -> None:
    """Raise JobRefused if some of these jobs have more than `largest` bytes.

    `taker` is what takes no more, such as "Postgres".
    """
    reasons = {
        job.number: f"a workload has {len(job.workload)} bytes, and {taker} takes"
        f" {largest} at most"
        for job in jobs
        if len(job.workload) > largest
    }
    if reasons:
        raise JobRefused(reasons)


def fitting(sizes: Sequence[int], most: int) -> int:
    """Return how many of the first rows to take: at least one, or what fits."""
    total = 0
    for count, size in enumerate(sizes):
        total += size
        if total > most and count:
            return count
    return len(sizes)
