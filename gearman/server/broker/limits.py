"""Limits of a broker, and what whoever hits one is told."""

from collections import Counter

# By the option that sets the limit. The first text is gearmand's, and clients know it.
FULL = {
    "max-jobs-per-function": b"Job queue is full",
    "max-jobs": b"The server has as many jobs as --max-jobs allows",
    "max-job-memory": b"The jobs of the server take what --max-job-memory allows",
    "max-functions": b"The server knows as many functions as --max-functions allows",
    "max-functions-per-worker": (
        b"A worker can do as many functions as --max-functions-per-worker allows"
    ),
    "max-packet": b"A packet may be as large as --max-packet allows",
}


class Limits:
    """How much a broker takes up at most; 0 is no limit.

    `jobs` and `job_memory`, which is in bytes, are for all jobs together, `functions`
    for those that are known. `jobs_per_function` counts for functions that were given
    no limit of their own, `functions_per_worker` for each peer. `memory` is for all
    that peers make the server keep, in bytes: nothing is refused because of it, but
    whoever does the I/O has to see to it.
    """

    def __init__(
        self,
        *,
        jobs: int = 0,
        jobs_per_function: int = 0,
        job_memory: int = 0,
        functions: int = 0,
        functions_per_worker: int = 0,
        memory: int = 0,
    ) -> None:
        self.jobs = jobs
        self.jobs_per_function = jobs_per_function
        self.job_memory = job_memory
        self.functions = functions
        self.functions_per_worker = functions_per_worker
        self.memory = memory


class Hits:
    """How often each limit was hit, by the option that sets it.

    `counts` has them all, those of whoever does the I/O included; `reached` those that
    are still to be logged.
    """

    __slots__ = ("counts", "reached")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.reached: set[str] = set()

    def add(self, limit: str) -> None:
        """Count that something went beyond a limit, and was refused."""
        self.counts[limit] += 1
        self.reached.add(limit)
