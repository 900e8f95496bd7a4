"""Jobs that are given up if no worker has got them within their time to live.

Jobs with options have a timer each. Jobs that only have the `ttl` of their function's
policy come in the order in which they expire, so they are kept in that order: that
costs less than timers.
"""

from collections import deque
from heapq import heappop, heappush
from math import inf

from ..constants import HIGH, LOW
from ..model import Function, Job
from ..states import QUEUED

# At most so many jobs expire in one turn.
MANY_EXPIRE = 1000


class Expiry:
    """When jobs expire, in seconds since the epoch.

    `first` is when to call `due`. There may be no job that expires then.
    """

    def __init__(self) -> None:
        self.first = inf
        # Functions by the time of their next look; the numbers decide if the times are
        # equal.
        self._looks: list[tuple[float, int, Function]] = []
        self._last = 0

    def apply(self, function: Function, ttl: float) -> None:
        """Begin to keep the times of jobs, if there is a `ttl` for jobs to come."""
        if ttl and function.fresh is None:
            function.fresh = (deque(), deque(), deque())

    def add(self, job: Job, expires: float) -> None:
        """Remember when a job expires that has just been queued for the first time."""
        self.started(job)
        fresh = job.function.fresh
        assert fresh is not None  # noqa: S101
        line = fresh[job.priority]
        line.append((expires, job))
        if len(line) == 1:
            self._look_at(job.function, expires)

    def started(self, job: Job) -> None:
        """Forget jobs that were started or are gone, up to the next one that waits."""
        fresh = job.function.fresh
        if fresh is not None:
            line = fresh[job.priority]
            while line and not _fresh(line[0][1]):
                line.popleft()

    def due(self, now: float) -> list[Job]:
        """Remove and return jobs that expire, at most about MANY_EXPIRE."""
        jobs: list[Job] = []
        while self._looks and self._looks[0][0] <= now and len(jobs) < MANY_EXPIRE:
            _, _, function = heappop(self._looks)
            self._find(function, now, jobs)
        self.first = self._looks[0][0] if self._looks else inf
        return jobs

    def _find(self, function: Function, now: float, jobs: list[Job]) -> None:
        following = inf
        for priority in range(HIGH, LOW + 1):
            line = function.fresh[priority] if function.fresh else deque()
            while line:
                expires, job = line[0]
                if not _fresh(job):
                    line.popleft()
                elif expires <= now and len(jobs) < MANY_EXPIRE:
                    line.popleft()
                    jobs.append(job)
                else:
                    following = min(following, expires)
                    break
        if following < inf:
            self._look_at(function, following)

    def _look_at(self, function: Function, when: float) -> None:
        self._last += 1
        heappush(self._looks, (when, self._last, function))
        self.first = self._looks[0][0]


def _fresh(job: Job) -> bool:
    """Whether a job is queued and was never started."""
    return job.state == QUEUED and not job.retries and job.extra is None
