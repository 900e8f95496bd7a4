"""Limits of a broker: their checks, and the texts for peers that hit a limit.

The check of --max-functions is `Functions.admits`, which makes room first.
"""

from collections import Counter

from .model import Function

# The text that clients get while it is not sure that this server owns the stored jobs:
# another one may have ended even a job that they would join.
DOUBT = b"The server has lost touch with its cluster, and stores no jobs for now"

# By the option that sets the limit. The first text is that of gearmand, which clients
# may depend on.
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
    """What a broker may keep at most; 0 is no limit.

    `jobs` (a number) and `job_memory` (bytes) limit all jobs together; `functions`
    limits the known functions. `jobs_per_function` is for functions without a limit of
    their own, `functions_per_worker` for each peer. `memory` (bytes) limits everything
    that the server keeps for peers. The broker refuses nothing because of it: the code
    that does the I/O enforces it.
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

    def exceeded_by_job(
        self, function: Function, priority: int, jobs: int, memory: int
    ) -> str | None:
        """Return the limit that a new job of this function would exceed, if any.

        `jobs` is how many jobs there are without it; `memory` is how many bytes all
        jobs would take with it.
        """
        most: int = function.limits[priority]
        if 0 < most <= function.total():
            return "max-jobs-per-function"
        if 0 < self.jobs <= jobs:
            return "max-jobs"
        if 0 < self.job_memory < memory:
            return "max-job-memory"
        return None

    def exceeded_by_worker(self, functions: int) -> str | None:
        """Return the limit that one more function of a worker would exceed, if any.

        `functions` is how many functions the worker has registered.
        """
        if 0 < self.functions_per_worker <= functions:
            return "max-functions-per-worker"
        return None


class Hits:
    """How often each limit was hit, by the option that sets the limit.

    `counts` has all limits, including those that the I/O checks. `reached` has the
    limits that were hit and are not logged yet.
    """

    __slots__ = ("counts", "reached")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.reached: set[str] = set()

    def add(self, limit: str) -> None:
        """Count a request that exceeded a limit and was refused."""
        self.counts[limit] += 1
        self.reached.add(limit)
