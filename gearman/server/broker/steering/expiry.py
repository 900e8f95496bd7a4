"""Jobs that are given up if no worker has got them within their time to live.

Jobs with options have a timer each. Jobs that only have the `ttl` of their function's
policy come in the order in which they expire, so they are kept in that order: that
costs less than timers.
"""

from collections import deque
from heapq import heappop, heappush
from math import inf

from ..constants import HIGH, LOW, SWEEP
from ..memory import EXPIRY_MEMORY, Memory
from ..model import Function, Job
from ..states import QUEUED

# At most so many jobs expire in one turn.
MANY_EXPIRE = 1000


class Expiry:
    """When jobs expire, in seconds since the epoch.

    `first` is when to call `due`. There may be no job that expires then. `memory`
    counts all times that are kept, also of jobs that were started or are gone.
    """

    def __init__(self, memory: Memory) -> None:
        self.first = inf
        self._memory = memory
        # Functions by the time of their next look; the numbers decide if the times are
        # equal.
        self._looks: list[tuple[float, int, Function]] = []
        self._last = 0

    def apply(self, function: Function) -> None:
        """Begin to keep the times of jobs, if there is a `ttl` for jobs to come."""
        if function.ttl and function.fresh is None:
            function.fresh = (deque(), deque(), deque())

    def add(self, job: Job, expires: float) -> bool:
        """Remember when a job expires that has just been queued for the first time.

        Returns False if the times would not be in their order. That may be so if the
        policy was changed.
        """
        function = job.function
        fresh = function.fresh
        assert fresh is not None  # noqa: S101
        line = fresh[job.priority]
        if len(line) > 2 * function.queues[job.priority].count + SWEEP:
            self._sweep(line)
        if line and line[-1][0] > expires:
            return False
        line.append((expires, job))
        self._memory.peers += EXPIRY_MEMORY
        if expires < function.look:
            self._look_at(function, expires)
        return True

    def started(self, job: Job) -> None:
        """Forget jobs that were started or are gone, up to the next one that waits."""
        fresh = job.function.fresh
        if fresh is not None:
            line = fresh[job.priority]
            while line and not _fresh(line[0][1]):
                line.popleft()
                self._memory.peers -= EXPIRY_MEMORY

    def due(self, now: float) -> list[Job]:
        """Remove and return jobs that expire, at most about MANY_EXPIRE."""
        jobs: list[Job] = []
        while self._looks and self._looks[0][0] <= now and len(jobs) < MANY_EXPIRE:
            when, _, function = heappop(self._looks)
            if when == function.look:
                self._find(function, now, jobs)
        self.first = self._looks[0][0] if self._looks else inf
        return jobs

    def _find(self, function: Function, now: float, jobs: list[Job]) -> None:
        function.look = following = inf
        for priority in range(HIGH, LOW + 1):
            line = function.fresh[priority] if function.fresh else deque()
            while line:
                expires, job = line[0]
                fresh = _fresh(job)
                if fresh and (expires > now or len(jobs) >= MANY_EXPIRE):
                    following = min(following, expires)
                    break
                line.popleft()
                self._memory.peers -= EXPIRY_MEMORY
                if fresh:
                    jobs.append(job)
        if following < inf:
            self._look_at(function, following)

    def _sweep(self, line: deque[tuple[float, Job]]) -> None:
        """Remove the jobs that were started or are gone."""
        kept = [entry for entry in line if _fresh(entry[1])]
        self._memory.peers -= EXPIRY_MEMORY * (len(line) - len(kept))
        line.clear()
        line.extend(kept)

    def _look_at(self, function: Function, when: float) -> None:
        function.look = when
        self._last += 1
        heappush(self._looks, (when, self._last, function))
        self.first = self._looks[0][0]


def _fresh(job: Job) -> bool:
    """Whether a job is queued and was never started."""
    return job.state == QUEUED and not job.retries and job.extra is None
