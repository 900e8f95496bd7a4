"""Jobs that are given up if no worker has got them within their time to live.

Jobs with options have a timer each. Jobs that only have the `ttl` of their function's
policy come in the order in which they expire, so they are kept in that order, those
of about the same time in a group: that costs less than timers.
"""

from collections import deque
from heapq import heappop, heappush
from math import inf

from ..constants import SWEEP
from ..memory import EXPIRY_MEMORY, GROUP_MEMORY, Memory
from ..model import ExpiryGroup, ExpiryLine, Function, Job
from ..states import QUEUED

# At most so many jobs expire in one turn, and are in a group.
MANY_EXPIRE = 1000
GROUP_SIZE = 1000


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
            function.fresh = (ExpiryLine(), ExpiryLine(), ExpiryLine())

    def add(self, job: Job, expires: float, slack: float) -> bool:
        """Remember when a job expires that has just been queued for the first time.

        With others, it may expire up to `slack` seconds earlier. Returns False if the
        times would not be in their order. That may be so if the policy was changed.
        """
        function = job.function
        fresh = function.fresh
        assert fresh is not None  # noqa: S101
        line = fresh[job.priority]
        queue = function.queues[job.priority]
        if line.count > 2 * queue.count + SWEEP:
            self._sweep(line)
        group = line.last
        if group is None:
            group = self._add_group(line, expires)
        elif expires < group.expires:
            return False
        elif expires - group.expires > slack or len(group.jobs) >= GROUP_SIZE:
            group = self._add_group(line, expires)
        group.jobs.append(job)
        line.count += 1
        self._memory.peers += EXPIRY_MEMORY
        if expires < function.look:
            self._look_at(function, expires)
        return True

    def started(self, job: Job) -> None:
        """Forget jobs that were started or are gone, up to the next one that waits."""
        fresh = job.function.fresh
        if fresh is None:
            return
        line = fresh[job.priority]
        group = line.first
        if group is None:
            return
        jobs, at = group.jobs, group.passed
        if jobs[at] is job and at + 1 < len(jobs):
            # So it is with most jobs: they are started in the order in which they came.
            jobs[at] = None
            group.passed = at + 1
            line.count -= 1
            following = jobs[at + 1]
            if following is not None and _fresh(following):
                return
        self._pass(line, 0.0, None)

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
        for line in function.fresh or ():
            self._pass(line, now, jobs)
            if line.first is not None:
                following = min(following, line.first.expires)
        if following < inf:
            self._look_at(function, following)

    def _pass(self, line: ExpiryLine, now: float, due: list[Job] | None) -> None:
        """Remove jobs that were started or are gone, up to the next one that waits.

        Those that wait and expire `now` are moved to `due`, if there is such a list, up
        to MANY_EXPIRE.
        """
        groups = line.groups
        while groups:
            group = groups[0]
            for at in range(group.passed, len(group.jobs)):
                job = group.jobs[at]
                if job is not None and _fresh(job):
                    if due is None or group.expires > now or len(due) >= MANY_EXPIRE:
                        return
                    due.append(job)
                group.jobs[at] = None
                group.passed += 1
                line.count -= 1
            groups.popleft()
            line.first = groups[0] if groups else None
            self._forget(group)
        line.last = None

    def _sweep(self, line: ExpiryLine) -> None:
        """Remove the jobs that were started or are gone."""
        groups, line.groups = line.groups, deque()
        line.first = line.last = None
        line.count = 0
        for group in groups:
            jobs = [job for job in group.jobs if job is not None and _fresh(job)]
            if jobs:
                kept = self._add_group(line, group.expires)
                kept.jobs += jobs
                line.count += len(jobs)
                self._memory.peers += EXPIRY_MEMORY * len(jobs)
            self._forget(group)

    def _add_group(self, line: ExpiryLine, expires: float) -> ExpiryGroup:
        group = line.last = ExpiryGroup(expires)
        line.groups.append(group)
        if line.first is None:
            line.first = group
        self._memory.peers += GROUP_MEMORY
        return group

    def _forget(self, group: ExpiryGroup) -> None:
        """Count the memory of a group that is not needed any more."""
        self._memory.peers -= GROUP_MEMORY + EXPIRY_MEMORY * len(group.jobs)

    def _look_at(self, function: Function, when: float) -> None:
        function.look = when
        self._last += 1
        heappush(self._looks, (when, self._last, function))
        self.first = self._looks[0][0]


def _fresh(job: Job) -> bool:
    """Whether a job is queued and was never started."""
    return job.state == QUEUED and not job.retries and job.extra is None
