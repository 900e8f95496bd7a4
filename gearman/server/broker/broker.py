"""The broker: every decision of the job server, and no I/O.

Each verb of the protocol has a method, which is called with the peer that sent the
verb. The method appends packets to the outboxes of peers. `touched` collects the peers
that have something new in their outbox, for the code that owns the sockets. The time is
set by `tick`; names and numbers are arguments.

The modules of this folder are also compiled, unchanged, into the package `broker_c`,
which has the declarations of their C types.
"""

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from ...commands import MAX_FUNCTION, MAX_HANDLE, MAX_UNIQUE
from .answers import Answers
from .assignment.choice import Choice
from .assignment.losses import Losses
from .assignment.sleepers import Sleepers
from .constants import (
    ERROR,
    JOB_CREATED,
    NORMAL,
    STATUS_RES,
    STATUS_RES_UNIQUE,
    WORK_FAIL,
)
from .functions import Functions
from .jobs import Jobs
from .limits import DOUBT, FULL, Hits, Limits
from .memory import (
    ABILITY_MEMORY,
    PEER_MEMORY,
    RUN_MEMORY,
    WAIT_MEMORY,
    Memory,
    job_size,
)
from .model import Function, Job, Notice, Peer, Receipt, joins_of
from .places import Places
from .states import AWAY, CANCELLED, GONE, PENDING, RUNNING, SUBMITTED
from .steering.attempts import Attempts
from .steering.dead import DeadJobs
from .steering.new_jobs import NO_WORKER, extend, needs_worker, priority_of
from .steering.policies import PolicyTable
from .steering.results import Results
from .steering.schedules import Schedules
from .stored import StoredJobs
from .workers import Workers

if TYPE_CHECKING:
    from ...options import JobOptions
    from .links.interface import Links


class Broker:
    """The state machine of the job server.

    The verbs of clients and admins are methods of this class. `workers` has the verbs
    of workers, `stored` has the verbs of the code that owns the store.

    A handle is `handle_prefix`, a colon and a number; the first number is
    `first_handle`. A job fails when `retries` workers were lost with it (-1: never; 0
    counts as 1). A job wakes `wakeup` sleeping workers (0: all). `priority_first` and
    `round_robin` are explained in Choice. With `timeout_fails` a job that exceeds its
    timeout fails; otherwise its worker counts as lost. `exceptions` switches the option
    of that name on for every peer.

    Requests that exceed the `limits` are refused; jobs from the store are not. `hits`
    counts how often each limit was hit, including the limits that the I/O checks.
    `memory` has the bytes of memory that are used.

    `policies`, `dead` and `results` have what the standard has not: the policies of
    functions, the dead list, and kept results; `schedules` submits jobs at their times.
    `chance` returns a random number from 0 to 1, for the pauses between attempts.

    With `persistent`, a background job is acknowledged, and can be grabbed, only after
    it was stored. During an outage `outage` is the reason, and new background jobs are
    refused with it. From `owned_until` on, a time of the monotonic clock, stored jobs
    are not handed out, since another server may own them.
    """

    def __init__(
        self,
        *,
        handle_prefix: bytes = b"H:localhost",
        first_handle: int = 1,
        retries: int = -1,
        wakeup: int = 0,
        priority_first: bool = True,
        round_robin: bool = True,
        timeout_fails: bool = False,
        exceptions: bool = False,
        persistent: bool = False,
        limits: Limits | None = None,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self.peers: dict[Peer, None] = {}
        self.touched: list[Peer] = []
        self.exceptions = exceptions
        self.persistent = persistent
        self.outage = b""
        self.now = self.wall = 0.0
        self.owned_until = inf
        self.limits = limits or Limits()
        self.hits, self.memory = Hits(), Memory()
        self.choice = Choice(priority_first=priority_first, round_robin=round_robin)
        self.sleepers = Sleepers(wakeup)
        self.functions = Functions(self.limits, self.hits, self.memory, self.choice)
        self.places = Places(self.choice, self.sleepers, self.memory)
        self.answers = Answers(self.memory, self.resume)
        self.jobs = Jobs(
            self.places, self.answers, self.memory, handle_prefix, first_handle
        )
        functions, places, jobs = self.functions, self.places, self.jobs
        choice, answers = self.choice, self.answers
        self.policies = PolicyTable(functions, places, choice, jobs, persistent)
        functions.policies = self.policies
        self.dead = dead = DeadJobs(places, functions, jobs)
        self.results = results = Results(places, jobs, dead, self.memory)
        self.schedules = Schedules(places, jobs, self.submit_with, persistent)
        self._notices: list[Notice] = []
        notices, chance = self._notices, chance or _highest
        self.links: Links | None = None
        self.attempts = Attempts(
            places, functions, jobs, dead, results, notices, chance
        )
        self.losses = losses = Losses(
            places, jobs, self.attempts, notices, retries, timeout_fails
        )
        self.workers = Workers(
            *(functions, choice, self.sleepers, places),
            *(answers, jobs, self.attempts, losses),
        )
        self.stored = StoredJobs(
            *(functions, places, answers, jobs),
            *(self.policies, dead, results, self.schedules),
        )

    # -- time and connections

    def tick(self, now: float, wall: float) -> None:
        """Set the time, and do what is due.

        Both are in seconds: `now` of a monotonic clock, for timeouts; `wall` since the
        epoch, for scheduled jobs.
        """
        places, sleepers = self.places, self.sleepers
        self.now = places.now = sleepers.now = now
        self.wall = places.wall = wall
        places.starts.now = now
        if places.scheduled.first <= wall:
            places.queue_due()
        if places.deadlines.first <= now:
            self.losses.expire()
            self.answers.pay()
        if sleepers.first <= now:
            sleepers.pass_over()
        if self.links is not None:
            self.links.tick(now)
        if self.owned_until <= now:
            self._doubt(True)
        if places.steered:
            self._steer(now, wall)

    def own(self, until: float) -> None:
        """Hand out stored jobs up to that time, which may be over, of `now`'s clock."""
        self.owned_until = until
        self._doubt(until <= self.now)

    def _doubt(self, on: bool) -> None:
        starts = self.places.starts
        if starts.doubtful != on:
            starts.doubt(self.functions.known.values(), on)
            self.outage = (self.outage or DOUBT) if on else b""

    def abandon(self) -> None:
        """Forget all jobs, so that none keeps this broker when it is dropped.

        Jobs refer to functions and peers. The collector of cycles does not see jobs.
        """
        self.jobs.changes.clear()
        self.jobs.known.clear()
        if self.links is not None:
            self.links.abandon()
        for function in self.functions.known.values():
            function.clear()

    def _steer(self, now: float, wall: float) -> None:
        """Do what is due for jobs with options, policies, results and schedules."""
        places = self.places
        if places.starts.first <= now:
            places.starts.go_on()
        if min(places.lives.first, places.expiry.first) <= wall:
            self.attempts.expire()
        if self.dead.first <= wall:
            self.dead.drop_old(wall)
        if self.results.first <= wall:
            self.results.drop_old(wall)
        if self.schedules.first <= wall:
            self.schedules.run_due(wall)
        self.answers.pay()

    def delay(self) -> float:
        """Return in how many seconds something is due; inf if nothing is."""
        places = self.places
        first = min(places.deadlines.first, self.sleepers.first)
        wall: float = places.scheduled.first
        if self.links is not None:
            first = min(first, self.links.first)
        if places.steered:
            first = min(first, places.starts.first)
            wall = min(wall, places.lives.first, places.expiry.first, self.dead.first)
            wall = min(wall, self.results.first, self.schedules.first)
        return min(wall - self.wall, first - self.now)

    def connect(self, peer: Peer) -> None:
        peer.touched = self.touched
        peer.exceptions = self.exceptions
        self.peers[peer] = None
        self.memory.peers += PEER_MEMORY

    def disconnect(self, peer: Peer) -> None:
        """Forget a peer: queue again the jobs that it runs, detach it from others."""
        del self.peers[peer]
        if self.links is not None:
            self.links.disconnected(peer)
        self.memory.peers -= PEER_MEMORY
        peer.touched = None
        self.answers.forget(peer)
        self.jobs.leave(peer)
        self.workers.leave(peer)
        if self.places.watch is not None:
            self.places.watch.left(peer)
        self.answers.pay()

    # -- clients

    def submit(
        self,
        peer: Peer,
        name: bytes,
        unique: bytes,
        workload: bytes,
        priority: int = NORMAL,
        background: bool = False,
        when: int = 0,
        reducer: bytes | None = None,
        receipt: Receipt | None = None,
        options: "JobOptions | None" = None,
    ) -> None:
        """Create a job, or join the job that has the same function and unique.

        `when` is in seconds since the epoch. A background submission makes the job that
        it joins a background job. One that had to wait has a `receipt` for its answer.
        """
        if receipt is None and peer.receipts and not background:
            request = (name, unique, workload, priority, False, when, reducer, options)
            return self.answers.defer(peer, request)
        longest = len(name) if reducer is None else max(len(name), len(reducer))
        if len(unique) > MAX_UNIQUE or longest > MAX_FUNCTION:
            return self._too_large(receipt, peer, unique)
        function = self.functions.known.get(name)
        if function is None and (function := self._new_function(name)) is None:
            return self._full(receipt, peer, "max-functions")
        jobs = self.jobs
        if unique and self.links is not None:
            more = (priority, background, when, reducer, receipt, options)
            if self.links.pass_on(peer, function, unique, workload, *more):
                return None
        if function.policy is not None or options is not None:
            if not function.workers and needs_worker(function, options):
                return self._refuse(receipt, peer, b"QUEUE_ERROR", NO_WORKER)
            if priority == NORMAL:
                priority = priority_of(function, options)
        job = jobs.uniques.find(function, unique, workload) if unique else None
        if background and self.outage and not self.places.starts.owns(job):
            return self._refuse(receipt, peer, b"QUEUE_ERROR", self.outage)
        if job is None:
            size = job_size(workload, unique)
            limit = self.limits.exceeded_by_job(
                function, priority, len(jobs.known), self.memory.jobs + size
            )
            if limit is not None:
                return self._exceeded(receipt, peer, limit)
            job = jobs.make(
                function, unique, workload, size, priority, background, when
            )
            self._begin(job, reducer, options)
        else:
            self._joined(job, background)
        if not background:
            jobs.join(job, peer)
        if job.receipts is not None and (background or job.state in (PENDING, AWAY)):
            return self.answers.owe(receipt, peer, job)
        if receipt is None and not peer.receipts:
            return peer.send(JOB_CREATED, (job.handle,))
        return self.answers.answer(receipt, peer, JOB_CREATED, (job.handle,))

    def _begin(
        self, job: Job, reducer: bytes | None, options: "JobOptions | None"
    ) -> None:
        """Give a new job what it has beyond the standard, and its place."""
        jobs, stats = self.jobs, job.function.stats
        stats.submitted += 1
        stats.bytes_in += len(job.workload)
        stored = job.background and self.persistent
        if job.function.policy is not None or options is not None:
            extend(job, options, jobs, self.wall, stored)
        if reducer is not None:
            jobs.reduce(job, reducer)
        if job.unique:
            jobs.uniques.add(job)
        if stored:
            self.places.move(job, SUBMITTED, PENDING)
            self.stored.add(job)
        else:
            jobs.place(job, SUBMITTED)

    def _joined(self, job: Job, background: bool) -> None:
        """Count a submission that joins a job, and make that a background job too."""
        job.function.stats.joined += 1
        if background and not job.background:
            job.background = True
            if self.persistent:
                self.stored.add(job)

    def submit_with(
        self,
        peer: Peer,
        name: bytes,
        unique: bytes,
        workload: bytes,
        options: "JobOptions",
    ) -> None:
        """Create or join a job with options, which count if the job is a new one."""
        background = bool(options.background)
        priority = NORMAL if options.priority is None else options.priority
        self.submit(
            peer, name, unique, workload, priority, background, 0, None, None, options
        )

    def resume(self, receipt: Receipt, request: tuple[Any, ...]) -> None:
        """Carry out a submission that had to wait; its answer is for the receipt."""
        name, unique, workload, priority, background, when, reducer, options = request
        self.submit(
            receipt.peer,
            name,
            unique,
            workload,
            priority,
            background,
            when,
            reducer,
            receipt,
            options,
        )

    def refuse(self, peer: Peer, code: bytes, text: bytes) -> None:
        """Refuse a request that may be a submission, after the earlier answers."""
        self._refuse(None, peer, code, text)

    def _new_function(self, name: bytes) -> Function | None:
        return self.functions.of(name) if self.functions.admits(name) else None

    def _too_large(self, receipt: Receipt | None, peer: Peer, unique: bytes) -> None:
        what = b"Unique value" if len(unique) > MAX_UNIQUE else b"Function name"
        self._refuse(receipt, peer, b"ARGUMENT_TOO_LARGE", what + b" too large")

    def _exceeded(self, receipt: Receipt | None, peer: Peer, limit: str) -> None:
        self.hits.add(limit)
        self._full(receipt, peer, limit)

    def _full(self, receipt: Receipt | None, peer: Peer, limit: str) -> None:
        self._refuse(receipt, peer, b"QUEUE_ERROR", FULL[limit])

    def _refuse(
        self, receipt: Receipt | None, peer: Peer, code: bytes, text: bytes
    ) -> None:
        self.answers.answer(receipt, peer, ERROR, (code, text))

    def get_status(self, peer: Peer, handle: bytes) -> None:
        if len(handle) > MAX_HANDLE:
            return peer.refuse(b"ARGUMENT_TOO_LARGE", b"Job handle too large")
        if self.links is not None:
            return self.links.lookup.status(peer, handle)
        return peer.send(STATUS_RES, (handle, *status_of(self.jobs.find(handle))))

    def get_status_unique(self, peer: Peer, unique: bytes) -> None:
        """Answer for the first job of this unique, whatever its function."""
        if len(unique) > MAX_UNIQUE:
            return peer.refuse(b"ARGUMENT_TOO_LARGE", b"Unique value too large")
        if self.links is not None:
            return self.links.lookup.status_unique(peer, unique)
        job = self.jobs.uniques.first(unique)
        joins = 0
        if job is not None and job.clients is not None:
            for client in job.clients:
                joins += joins_of(job, client)
        return peer.send(STATUS_RES_UNIQUE, (unique, *status_of(job), b"%d" % joins))

    # -- administration

    def cancel(self, handle: bytes) -> bool:
        """Let a job fail for all its clients. Returns False if it is unknown.

        If a worker runs the job, it may finish it, but its result is dropped. It is
        told so if it asked for that.
        """
        job = self.jobs.find(handle)
        if job is None or job.state == AWAY:
            return False
        self.drop(job)
        return True

    def drop(self, job: Job) -> None:
        """Let a job fail for all its clients, as `cancel` does."""
        job.function.stats.cancelled += 1
        self.jobs.forward(job, WORK_FAIL, (job.handle,))
        job.background = False
        if job.state == RUNNING:
            self.losses.dismiss(job)
        self.places.move(job, CANCELLED, GONE)
        self.jobs.retire(job)
        self.answers.pay()

    def memory_of(self, peer: Peer) -> int:
        """Return how many bytes of `memory.peers` are for one peer."""
        size = PEER_MEMORY + self.answers.size(peer)
        size += ABILITY_MEMORY * len(peer.functions)
        return size + WAIT_MEMORY * len(peer.waiting) + RUN_MEMORY * len(peer.jobs)

    def over_budget(self) -> bool:
        """Whether the server keeps more for its peers than `limits.memory`."""
        memory, most = self.memory, self.limits.memory
        return 0 < most < memory.jobs + memory.peers + memory.buffers


def _highest() -> float:
    return 1.0


def status_of(job: Job | None) -> tuple[bytes, bytes, bytes, bytes]:
    """Return known, running, numerator and denominator."""
    if job is None:
        return b"0", b"0", b"0", b"0"
    running = b"1" if job.state == RUNNING else b"0"
    numerator, denominator = job.progress
    return b"1", running, b"%d" % numerator, b"%d" % denominator
