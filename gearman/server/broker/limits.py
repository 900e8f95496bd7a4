"""Limits of a broker, and the texts for peers that hit a limit."""

from collections import Counter

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
