"""Jobs of other servers of the cluster that run at workers here.

Another server says once that it has jobs of a function. Whenever workers of it sleep
here, jobs are asked for, at most one for each of these workers. If none sleeps for LONG
seconds, since all are busy with jobs of this server, one more job is asked for with
each job that they start: so the other server gets its share. If it has workers itself,
these do its jobs without a link: then one is asked for every LONG seconds, should they
be busy with something else. Workers that come back for borrowed jobs have jobs asked
for ahead: see `ahead`.

A borrowed job is before all others of its priority. If no worker starts it in time, it
is given back: see `waiting`.
"""

from collections import deque
from collections.abc import Callable
from math import inf

from ....options import JobOptions
from ..assignment.losses import Losses
from ..constants import (
    CAN_DO,
    CANT_DO,
    GRAB_JOBS,
    LINK_BACK,
    LINK_RUNS,
    SLEEPING,
    WORK_CANCEL,
    WORK_RETRY,
)
from ..functions import Functions
from ..jobs import Jobs
from ..making import shard_of
from ..memory import WAIT_MEMORY, Memory, extra_size, job_size
from ..model import Extra, Function, Job, Peer
from ..places import Places
from ..states import CANCELLED, GIVEN_BACK, GONE, QUEUED, SUBMITTED
from .ahead import Ahead
from .lenders import Lenders, Ready
from .remote import LinkWorker, Remote
from .waiting import PATIENCE, Waiting

# Seconds of the monotonic clock.
LONG = 0.1

ZERO = ord("0")


class Borrowing:
    """Gets jobs of other servers for the workers here, and returns the results.

    `jobs` has the borrowed jobs by their handles. `first` is when to call `give_up`.
    `ahead` has those that were asked for before a worker sleeps.
    `came_back` says whether a job of this server has a handle of another one.
    """

    def __init__(
        self,
        functions: Functions,
        places: Places,
        jobs: Jobs,
        losses: Losses,
        memory: Memory,
        came_back: Callable[[bytes], bool],
    ) -> None:
        self.jobs: dict[bytes, Job] = {}
        self.first = inf
        self._functions = functions
        self._places = places
        self._jobs = jobs
        self._losses = losses
        self._memory = memory
        self._came_back = came_back
        self._lenders = Lenders(functions)
        # The functions that other servers know to have workers here.
        self.offered: dict[bytes, None] = {}
        # Sleeping workers for which a job was asked for.
        self._reserved: dict[Peer, None] = {}
        self.ahead = Ahead(self._lenders, places.starts)
        self._waiting = Waiting(self.ahead)
        # Jobs whose handle another job here has, and when they are given back.
        self._refused: dict[tuple[Remote, bytes], float] = {}

    # -- what workers here can do

    def offers(self, peer: Peer, function: Function, remotes: list[Remote]) -> None:
        """Note that a worker has registered a function, or has it no more.

        The other servers are told if it is the first one here, or none is left.
        """
        name = function.name
        if name not in peer.abilities:
            self.ahead.left(peer)
        local = function.workers > len(function.borrowers or ())
        if local == (name in self.offered):
            return
        if local:
            self.offered[name] = None
        else:
            del self.offered[name]
            self._lenders.forget_all(function)
            for job in self._waiting.of(function):
                self._give_back(job)
        for remote in remotes:
            remote.request(CAN_DO if local else CANT_DO, (name,))

    def introduce(self, remote: Remote) -> None:
        """Tell a server all functions for which there are workers here."""
        for name in self.offered:
            remote.request(CAN_DO, (name,))

    # -- asking for jobs

    def ready(self, remote: Remote, name: bytes, count: int, unmet: int) -> None:
        """Note that a server has so many jobs of a function, or none.

        It does not give as many of the jobs that it was asked for as are `unmet`.
        """
        for _ in range(unmet):
            self._met(remote, name)
        function = self._functions.known.get(name)
        if function is None or name not in self.offered:
            return
        if not count:
            self._lenders.forget(remote, function)
        else:
            self._lenders.note(remote, function, count, self._places.now)
            self.ask(function)

    def slept(self, peer: Peer) -> None:
        """Ask for a job for a worker that has gone to sleep."""
        if self._lenders.count:
            for function in peer.functions:
                self.ask(function)

    def ask(self, function: Function) -> None:
        """Ask for as many jobs of a function as workers sleep here.

        The servers are asked in turn.
        """
        lenders = function.lenders
        if lenders is None or self._places.starts.blocks(function):
            return
        for remote, ready in list(lenders.items()):
            free = self._free(function, ready.count)
            if free:
                del lenders[remote]
                lenders[remote] = ready
                self._reserve(remote, function, ready, free)

    def _free(self, function: Function, most: int) -> list[Peer]:
        """Return sleeping workers for which no job was asked for, at most so many."""
        free: list[Peer] = []
        for peer in function.sleepers:
            if len(free) >= most:
                break
            if peer.sleep == SLEEPING and peer not in self._reserved:
                free.append(peer)
        return free

    def _reserve(
        self,
        remote: Remote,
        function: Function,
        ready: Ready,
        workers: list[Peer] | list[None],
    ) -> None:
        name = function.name
        asked = remote.asked.get(name)
        if asked is None:
            asked = remote.asked[name] = deque()
        for peer in workers:
            if peer is not None:
                self._reserved[peer] = None
            asked.append(peer)
        ready.count -= len(workers)
        remote.request(GRAB_JOBS, (name, b"%d" % len(workers), b"0"))

    def started(self, job: Job) -> None:
        """Note that a worker has got a job.

        If another server waits for long, ask it for a job, for the next worker.
        """
        worker, extra = job.worker, job.extra
        assert worker is not None  # noqa: S101
        if extra is not None and extra.lender is not None:
            self._waiting.remove(job)
            return self.ahead.started(worker, job.function)
        self.ahead.left(worker)
        if self._lenders.count and not isinstance(worker, LinkWorker):
            for function in worker.functions:
                self._take_turns(function)
        return None

    def ended(self, job: Job, worker: Peer) -> None:
        """Note that a worker has a borrowed job no more, which has just run."""
        assert job.extra is not None  # noqa: S101
        lender = job.extra.lender
        assert isinstance(lender, Remote)  # noqa: S101
        seconds = self._places.now - job.since
        self.ahead.ended(worker, job.function, lender, seconds)

    def _take_turns(self, function: Function) -> None:
        lenders: dict[Remote, Ready] | None = function.lenders
        if lenders is None:
            return
        now = self._places.now
        for remote, ready in lenders.items():
            late = now - ready.since >= LONG
            if late and ready.count > 0 and function.name not in remote.asked:
                if remote in (function.borrowers or ()):
                    ready.since = now
                self._reserve(remote, function, ready, [None])

    def _met(self, remote: Remote, name: bytes) -> bool:
        """Note the answer to asking for one job; return whether it was ahead.

        Raises ValueError if none was asked for.
        """
        asked = remote.asked.get(name)
        if asked is None:
            if not self.ahead.asked(remote, name):
                raise ValueError("no job was asked for")
            self.ahead.met(remote, name)
            return True
        peer = asked.popleft()
        if peer is not None:
            self._reserved.pop(peer, None)
        if not asked:
            del remote.asked[name]
        return False

    def _open(self, remote: Remote, name: bytes) -> int:
        """Return how many jobs a server was asked for that are to come."""
        asked = remote.asked.get(name)
        return self.ahead.asked(remote, name) + (0 if asked is None else len(asked))

    # -- borrowed jobs

    def borrow(
        self,
        remote: Remote,
        handle: bytes,
        name: bytes,
        unique: bytes,
        reducer: bytes,
        fields: bytes,
        workload: bytes,
    ) -> None:
        """Let a worker here have a job of another server, which was asked for it."""
        # The first one is a digit: see the verbs.
        left, _, trace = fields[2:].partition(b" ")
        ahead = self._met(remote, name)
        if name not in self.offered:
            return remote.request(LINK_BACK, (handle, b"unused"))
        function = self._functions.known[name]
        open_ = self._open(remote, name)
        more = int(left) - open_
        if more > 0 or open_:
            self._lenders.note(remote, function, max(more, 0), self._places.now)
        else:
            self._lenders.forget(remote, function)
        if self._is_in_use(remote, handle):
            until = self._refused[remote, handle] = self._places.now + PATIENCE
            self.first = min(self.first, until)
            return None
        options = JobOptions(trace=trace.decode()) if trace else None
        size = job_size(workload, unique)
        jobs = self._jobs
        priority = fields[0] - ZERO
        job = jobs.make(function, unique, workload, size, priority, False, 0)
        job.handle = handle
        extra = job.extra = Extra(options, self._places.wall)
        extra.lender = remote
        jobs.resize(extra, extra_size(options))
        if reducer:
            jobs.reduce(job, reducer)
        jobs.join(job, remote.owner)
        self.jobs[handle] = job
        self._waiting.add(job, self._places.now, ahead and not function.sleepers)
        self.first = min(self.first, self._waiting.first)
        self._places.move(job, SUBMITTED, QUEUED)
        if self.ahead.belong_here(function):
            function.queues[job.priority].advance_last()
        if function.starts is not None:
            # It does not count for the limits here.
            self._places.starts.look(function)
        if more > 0:
            self.ask(function)
        return None

    def _is_in_use(self, remote: Remote, handle: bytes) -> bool:
        """Whether a job of this handle runs here; if it is the same job, drop it.

        It is another one if it was passed on, and came back when a link broke.
        """
        old = self.jobs.get(handle)
        if old is None:
            return self._came_back(handle)
        if old.extra is not None and old.extra.lender is remote:
            self._drop(old)
            return False
        return True

    def returned(self, job: Job) -> None:
        """Forget a borrowed job that is gone here."""
        del self.jobs[job.handle]
        self._waiting.remove(job)

    def give_up(self, now: float) -> None:
        """Give the jobs back that no worker has started in time."""
        for job in self._waiting.due(now):
            self._give_back(job)
        for (remote, handle), until in list(self._refused.items()):
            if until <= now:
                del self._refused[remote, handle]
                remote.owner.send(LINK_BACK, (handle, b"unused"))
        self._waiting.look()
        refused = next(iter(self._refused.values()), inf)
        self.first = min(self._waiting.first, refused)

    def _give_back(self, job: Job) -> None:
        self._tell(job, LINK_BACK, (job.handle, b"unused"))
        self._end(job, GIVEN_BACK)

    def lost(self, job: Job) -> None:
        """Tell the owner of a job that its worker was lost."""
        self._tell(job, LINK_BACK, (job.handle, b"lost"))
        self._end(job, GIVEN_BACK)

    def overdue(self, job: Job) -> None:
        """Tell the owner that its worker is over its time; a late result may follow."""
        self._tell(job, LINK_BACK, (job.handle, b"late"))

    def retried(self, job: Job, pause: float, reason: bytes, counts: bool) -> None:
        """Tell the owner that a worker has given a job back."""
        seconds = b"%.6f" % pause + (b"" if counts else b"+")
        self._tell(job, WORK_RETRY, (job.handle, seconds, reason))
        self._end(job, GIVEN_BACK)

    def _tell(self, job: Job, command: int, arguments: tuple[bytes, ...]) -> None:
        for client in job.clients or ():
            client.send(command, arguments)

    def _end(self, job: Job, event: int) -> None:
        self._places.move(job, event, GONE)
        self._jobs.retire(job)

    def cancelled(self, handle: bytes) -> None:
        """Tell a worker that the result of its job is not needed."""
        job = self.jobs.get(handle)
        if job is None:
            return
        worker = job.worker
        if worker is None:
            self._give_back(job)
        elif worker.extensions:
            worker.send(WORK_CANCEL, (handle,))

    def _drop(self, job: Job) -> None:
        """Forget a job that runs, and whose result is not wanted any more."""
        self._losses.dismiss(job)
        self._end(job, CANCELLED)

    # -- owners that are lost

    def unlink(self, remote: Remote) -> dict[bytes, None]:
        """Drop what does not run of a server without a link; return jobs' handles."""
        for name in list(remote.asked):
            while name in remote.asked:
                self._met(remote, name)
        self.ahead.unlink(remote)
        self._lenders.unlink(remote)
        # Their owner has them done elsewhere: see `Lending.settle`.
        waiting = [job for job in self._of(remote) if job.state == QUEUED]
        for job in waiting:
            self._end(job, GIVEN_BACK)
        return {job.handle: None for job in waiting}

    def report(self, remote: Remote) -> None:
        """Tell a server that is linked again which of its jobs are here.

        What its jobs have sent meanwhile follows.
        """
        owner = remote.owner
        for handle in owner.spoiled:
            job = self.jobs.get(handle)
            if job is not None:
                self._drop(job)
        owner.spoiled.clear()
        handles = {job.handle: None for job in self._of(remote)}
        handles.update(dict.fromkeys(owner.kept))
        handles.update({h: None for lender, h in self._refused if lender is remote})
        remote.request(LINK_RUNS, (b" ".join(handles),))
        for handle in list(owner.kept):
            self._send_kept(remote, owner.take(handle))

    def _send_kept(
        self, remote: Remote, packets: list[tuple[int, tuple[bytes, ...]]]
    ) -> None:
        for command, arguments in packets:
            remote.request(command, arguments)

    def _of(self, remote: Remote) -> list[Job]:
        return [
            job
            for job in self.jobs.values()
            if job.extra is not None and job.extra.lender is remote
        ]

    def orphans(
        self, shards: frozenset[int], owner: Remote, former: list[Remote]
    ) -> list[bytes]:
        """Return the handles of jobs of these shards here, which have another owner."""
        found: dict[bytes, None] = {}
        for remote in former:
            if remote is not owner:
                found.update(dict.fromkeys(remote.owner.kept))
                found.update({job.handle: None for job in self._of(remote)})
        return [handle for handle in found if shard_of(handle) in shards]

    def adopted(self, owner: Remote, handle: bytes, former: list[Remote]) -> None:
        """Send what a job sends, and has sent, to its new owner."""
        job = self.jobs.get(handle)
        for remote in former:
            if remote is not owner:
                self._send_kept(owner, remote.owner.take(handle))
        if job is not None:
            assert job.extra is not None  # noqa: S101
            assert job.clients is not None  # noqa: S101
            before = job.clients.pop()
            before.waiting.discard(job)
            self._memory.peers -= WAIT_MEMORY
            self._jobs.join(job, owner.owner)
            job.extra.lender = owner

    def abandon(self) -> None:
        """Forget all jobs."""
        self.jobs.clear()
        self._waiting.clear()
        self.ahead.abandon()

    def forget(self, remote: Remote) -> None:
        """Drop the jobs of an owner that is gone for too long."""
        for job in self._of(remote):
            self._drop(job)
        remote.owner.forget()
