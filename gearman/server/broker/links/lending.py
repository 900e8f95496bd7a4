"""Jobs of this server that run at workers of other servers of the cluster.

A server that has workers for a function says so. When a job of that function is queued
here, and no worker sleeps here, the server is told, once: it remembers that there are
jobs until it is told that there are none left. It asks for as many as workers sleep
there. So jobs that find a worker here cost the links nothing.

A server may ask ahead, for jobs that are not there yet. It gets them without being told
of them first.
"""

from math import inf

from ..assignment.losses import Losses
from ..constants import LINK_JOB, LINK_READY
from ..functions import Functions
from ..jobs import Jobs
from ..model import Function, Job, Queue, is_wanted
from ..places import Places
from ..states import ABANDONED, ADOPTED, GONE, LOST, RUNNING
from ..workers import Workers
from .remote import Remote

# If workers that were woken for a job have not taken it after so many seconds, other
# servers are told of it.
PATIENCE = 0.05

# Fields of a job of a priority, after which none is left: most are such ones.
LAST = (b"0 0", b"1 0", b"2 0")


class Lending:
    """Gives jobs to other servers. `first` is when to call `look_again`.

    `wanted` has, by function, the servers that have asked ahead, and for how many jobs.
    `end_turn` is to be called after verbs, when all jobs are in their places.
    """

    def __init__(
        self,
        functions: Functions,
        places: Places,
        jobs: Jobs,
        workers: Workers,
        losses: Losses,
    ) -> None:
        self.first = inf
        self._functions = functions
        self._places = places
        self._jobs = jobs
        self._workers = workers
        self._losses = losses
        # Functions to look at again, and when, in the order of these times.
        self._later: dict[Function, float] = {}
        # Functions to look at when the turn ends.
        self._now: dict[Function, None] = {}
        self.wanted: dict[bytes, dict[Remote, int]] = {}

    # -- what other servers can do

    def offered(self, remote: Remote, name: bytes) -> None:
        """Note that another server has workers for a function."""
        self._workers.can_do(remote.worker, name)
        if name not in remote.worker.abilities:
            return
        function = self._functions.known[name]
        if function.borrowers is None:
            function.borrowers = {}
        function.borrowers[remote] = None
        if function.ready():
            self._now[function] = None

    def withdrawn(self, remote: Remote, name: bytes) -> None:
        """Note that another server has no worker for a function any more."""
        function = self._functions.known.get(name)
        if function is None or name not in remote.worker.abilities:
            return
        self._workers.cant_do(remote.worker, name)
        self._remove(remote, function)

    def _remove(self, remote: Remote, function: Function) -> None:
        borrowers = function.borrowers
        assert borrowers is not None  # noqa: S101
        del borrowers[remote]
        remote.told.pop(function.name, None)
        self._call_off(remote, function.name)
        if not borrowers:
            function.borrowers = None
            self._now.pop(function, None)
            self._later.pop(function, None)
            self._set_first()

    def unlink(self, remote: Remote) -> None:
        """Lend nothing more to a server whose link is broken."""
        for name in list(remote.worker.abilities):
            self.withdrawn(remote, name)

    # -- telling them of jobs

    def queued(self, function: Function, woken: bool) -> None:
        """Note that a job was queued, for other servers if nobody here will take it."""
        if not woken:
            self._now[function] = None
        elif function not in self._later:
            self._later[function] = self._places.now + PATIENCE
            self._set_first()

    def look_again(self, now: float) -> None:
        """Tell of the jobs that nobody has taken although workers were woken."""
        while self.first <= now:
            function = next(iter(self._later))
            del self._later[function]
            self._set_first()
            self._now[function] = None

    def end_turn(self) -> None:
        """Give jobs to those that wait for them, and tell others of what is left."""
        while self._now:
            function, _ = self._now.popitem()
            if function.name in self.wanted:
                self._give_wanted(function)
            if function.ready():
                self._tell(function)

    def _tell(self, function: Function) -> None:
        name = function.name
        for remote in function.borrowers or ():
            if name not in remote.told:
                remote.told[name] = None
                count = b"%d" % function.queued()
                remote.request(LINK_READY, (name, count, b"0"))

    def _set_first(self) -> None:
        self.first = next(iter(self._later.values()), inf)

    # -- giving them jobs

    def grab(self, remote: Remote, name: bytes, count: int, ahead: int) -> None:
        """Give a server up to `count` jobs now, and up to `ahead` now or later.

        It is told how many it does not get. If both are 0, it wants none later.
        """
        function = self._functions.known.get(name)
        if function is None or name not in remote.worker.abilities:
            remote.told.pop(name, None)
            remote.request(LINK_READY, (name, b"0", b"%d" % (count + ahead)))
            return
        if not (count or ahead):
            unmet = self._call_off(remote, name)
        else:
            given, left = self._give_up_to(count + ahead, remote, function)
            unmet = max(count - given, 0)
            self._wait(remote, name, min(count + ahead - given, ahead))
            if not left:
                remote.told.pop(name, None)
                if function.ready():
                    # A job that is borrowed itself is the first one.
                    self.queued(function, True)
        if unmet:
            remote.request(LINK_READY, (name, b"0", b"%d" % unmet))

    def _give_up_to(
        self, most: int, remote: Remote, function: Function
    ) -> tuple[int, int]:
        """Give jobs; return how many, and how many are left, 0 if none may be lent."""
        given = left = 0
        while given < most:
            queue = _next_queue(function)
            if queue is None:
                return given, 0
            given += 1
            left = self._give(remote, queue, function)
        return given, left

    def _wait(self, remote: Remote, name: bytes, count: int) -> None:
        """Let a server wait for so many jobs more."""
        if count:
            wanted = self.wanted.setdefault(name, {})
            wanted[remote] = wanted.get(remote, 0) + count

    def _call_off(self, remote: Remote, name: bytes) -> int:
        """Let a server wait for nothing; return for how many jobs it did."""
        wanted = self.wanted.get(name, {})
        count = wanted.pop(remote, 0)
        if not wanted:
            self.wanted.pop(name, None)
        return count

    def _give_wanted(self, function: Function) -> None:
        """Give jobs to the servers that wait for them, which take turns."""
        name = function.name
        wanted = self.wanted[name]
        while wanted:
            queue = _next_queue(function)
            if queue is None:
                return
            remote = next(iter(wanted))
            count = wanted.pop(remote) - 1
            if count:
                wanted[remote] = count
            if self._give(remote, queue, function):
                # That there are more is said with the job.
                remote.told[name] = None
            else:
                remote.told.pop(name, None)
        del self.wanted[name]

    def _give(self, remote: Remote, queue: Queue, function: Function) -> int:
        """Give a server a job, and return how many are left."""
        worker = remote.worker
        job = self._places.assign(queue, worker)
        if worker.raised == job.handle:
            worker.raised = b""
        if worker.late:
            worker.late.pop(job.handle, None)
        left = function.queued()
        fields = b"%d %d" % (job.priority, left) if left else LAST[job.priority]
        extra = job.extra
        if extra is not None and extra.options is not None and extra.options.trace:
            fields += b" " + extra.options.trace.encode()
        remote.respond(
            LINK_JOB,
            (
                *(job.handle, function.name, job.unique),
                *(job.reducer or b"", fields, job.workload),
            ),
        )
        return left

    def adopt(self, remote: Remote, job: Job) -> None:
        """Note that a job, which is a new one here, runs at a server already."""
        job.worker = remote.worker
        self._places.move(job, ADOPTED, RUNNING)

    # -- getting them back

    def back(self, remote: Remote, handle: bytes, why: bytes) -> None:
        """Take a job back that was not done.

        Its worker was `lost`, or it is over its time there (`late`); these are failed
        attempts. Otherwise it was not started.
        """
        job = remote.worker.jobs.get(handle)
        if job is None:
            return
        if why == b"lost":
            job.function.stats.lost += 1
            self._losses.lost(job, remote.worker, "its worker was lost")
        elif why == b"late":
            self._losses.overdue(job)
        else:
            self._return(job)

    def settle(self, remote: Remote, running: set[bytes]) -> None:
        """Take the jobs back that a server does not run, after its link was broken."""
        for handle, job in list(remote.worker.jobs.items()):
            if handle not in running:
                self._return(job)

    def _return(self, job: Job) -> None:
        """Queue a job again that was lent; this is no failed attempt."""
        if not is_wanted(job):
            job.function.stats.abandoned += 1
            self._places.move(job, ABANDONED, GONE)
            return self._jobs.retire(job)
        job.progress = (0, 0)
        return self._jobs.place(job, LOST)


def _next_queue(function: Function) -> Queue | None:
    """Return the queue whose first job may be lent."""
    if function.held:
        return None
    for queue in function.queues:
        job = queue.first()
        if job is not None:
            # What is borrowed is not lent.
            lent = job.extra is not None and job.extra.lender is not None
            return None if lent else queue
    return None
