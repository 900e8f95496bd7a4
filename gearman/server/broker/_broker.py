"""The broker: every decision of the job server, and no I/O.

There is one method for each verb of the protocol, called with the peer that sent
it. What it causes is appended to the outboxes of peers, and each peer that gets
something to send is collected in `touched` for whoever owns the sockets. Time comes
in through `tick`; names and numbers come in as arguments.

A job is in exactly one place: in a queue of its function, among the scheduled ones,
with a worker, or gone; or, where background jobs are kept in a store, it is pending
until the store has it for good. Queues and timers drop what is gone lazily: an entry
whose job has moved on is skipped when its turn comes, and swept out before such
entries outnumber the live ones, so that no operation costs more than the number of
things it touches.

A worker sleeps only while nothing is queued for it. Whoever queues a job wakes the
sleepers of its function, and a worker that was woken passes the wake-up on if it
leaves work behind; so no job can wait beside a worker that sleeps.

Answers to the submissions of one connection go out in the order of the submissions,
since clients tell them apart by nothing else. So while a peer waits for the store,
what it submits for the foreground waits as well; nobody else does.

A verb ends before another one begins: what waited behind an answer is carried out by
`_pay`, as the last thing that a verb does, when every job is in its place again.

All of it stands in one file because it is compiled as one: its classes know each
other as C types, declared in `_broker_c.pxd`.
"""

import re
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any

from ...commands import MAX_FUNCTION, MAX_HANDLE, MAX_UNIQUE
from ...framing import encode

HIGH, NORMAL, LOW = 0, 1, 2
QUEUED, SCHEDULED, RUNNING, GONE, PENDING = 0, 1, 2, 3, 4
AWAKE, SLEEPING, WOKEN = 0, 1, 2

NOOP, JOB_CREATED, NO_JOB, JOB_ASSIGN = 6, 8, 10, 11
WORK_STATUS, WORK_COMPLETE, WORK_FAIL = 12, 13, 14
ERROR, STATUS_RES = 19, 20
WORK_EXCEPTION, WORK_DATA, WORK_WARNING = 25, 28, 29
JOB_ASSIGN_UNIQ, JOB_ASSIGN_ALL, STATUS_RES_UNIQUE = 31, 40, 42

# So many jobs become due in one turn; a second may be that of a million.
MANY_DUE = 1000

# Below this many entries that are gone, sweeping them out is not worth it.
SWEEP = 32

# So many bytes of workloads may be left in entries that are gone.
SWEEP_BYTES = 16 * 1024 * 1024

# Up to this many functions of a worker are looked through for a job; if it has more,
# they are only when one of those that have jobs is known to be among them.
FEW = 16

# As many functions are known, whether or not they are in use, where there is no limit.
MANY_FUNCTIONS = 50_000

# A shorter timeout of a function is taken as this one, as gearmand does (seconds).
MIN_TIMEOUT = 1.0

# With `-w`, a woken worker that asks for nothing for so long is passed over (seconds).
WAKE_PATIENCE = 1.0

# Of how many jobs that it took too long for a worker may still bring the result.
MAX_LATE = 1000

# Where the digits of a number that is sent as text must have ended (bytes).
MAX_NUMBER_TEXT = 100

# So many digits have the largest numbers of jobs.
MAX_DIGITS = 19

# How many jobs a worker may have been refused whose further packets are expected.
MAX_REFUSED = 100

# What a job takes beside its workload and its unique, and what a unique does beside its
# own bytes, as measured (bytes of memory).
JOB_MEMORY = 350
UNIQUE_MEMORY = 50

# What else takes memory, as measured (bytes): a function beside its name, a function
# of a worker, a peer, a timer, a job that a worker has or that a client waits for; an
# answer that is owed, for each of those who know of it, and a request that waits for
# one, beside its arguments.
FUNCTION_MEMORY = 3000
ABILITY_MEMORY = 155
PEER_MEMORY = 800
TIMER_MEMORY = 150
RUN_MEMORY = 60
WAIT_MEMORY = 200
RECEIPT_MEMORY = 40
REQUEST_MEMORY = 200

# What whoever hits a limit is told, by the option that sets the limit. The first one
# is gearmand's, and clients know it.
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

_DIGITS = re.compile(rb"\s*\+?(\d{0,20})")


class Job:
    """A job from its submission until it is finished, cancelled or dropped."""

    # fmt: off
    __slots__ = (
        "background", "clients", "denominator", "function", "handle", "joins", "number",
        "numerator", "priority", "receipts", "reducer", "retries", "state", "stored",
        "timer", "unique", "when", "worker", "workload",
    )
    # fmt: on

    number: int
    handle: bytes
    function: "Function"
    unique: bytes
    workload: bytes
    priority: int
    background: bool
    when: int
    reducer: bytes | None
    state: int
    retries: int
    numerator: int
    denominator: int
    timer: int
    worker: "Peer | None"
    # Each one once, however often it has joined; and of those who did so several times,
    # how often.
    clients: "list[Peer] | None"
    joins: "dict[Peer, int] | None"
    # Whether the store has it, or was told to; and who is to be told once it has.
    stored: bool
    receipts: "list[Receipt] | None"

    def wanted(self) -> bool:
        """Whether anybody cares for the result."""
        return self.background or bool(self.clients)

    def joined(self, client: "Peer") -> int:
        """Return how many submissions of one of the clients this job is."""
        return 1 if self.joins is None else self.joins.get(client, 1)


class Queue:
    """The jobs of one function and priority, first in, first out.

    It is `listed` among those that have jobs from its first job on, until somebody
    finds out that it has none.
    """

    __slots__ = ("_entries", "_gone", "count", "listed")

    def __init__(self) -> None:
        self.listed = False
        self._entries: deque[Job] = deque()
        self.count = 0
        # Bytes of workloads that were taken out of the middle since the last sweep.
        self._gone = 0

    def push(self, job: Job) -> None:
        job.state = QUEUED
        self._entries.append(job)
        self.count += 1

    def pop(self) -> Job:
        """Take the first job. There must be one: look at `count` before."""
        job = self._entries.popleft()
        while job.state != QUEUED:
            job = self._entries.popleft()
        self.count -= 1
        return job

    def discard(self, job: Job) -> None:
        """Take a job out of the middle."""
        job.state = GONE
        self.count -= 1
        self._gone += len(job.workload)
        crowded = len(self._entries) > 2 * self.count + SWEEP
        if crowded or not self.count or self._gone > SWEEP_BYTES:
            self._entries = deque([j for j in self._entries if j.state == QUEUED])
            self._gone = 0


class Timers:
    """Jobs by the time at which something is due; a job has one timer at most.

    `first` is when to look again; it may turn out that nothing is due then.
    """

    __slots__ = ("_entries", "_jobs", "_last", "first")

    def __init__(self) -> None:
        # The latter are those whose timer runs, by its number.
        self._entries: list[tuple[float, int]] = []
        self._jobs: dict[int, Job] = {}
        self._last = 0
        self.first = inf

    def count(self) -> int:
        return len(self._jobs)

    def start(self, job: Job, when: float) -> None:
        self._last += 1
        job.timer = self._last
        self._jobs[job.timer] = job
        heappush(self._entries, (when, job.timer))
        self.first = self._entries[0][0]

    def stop(self, job: Job) -> None:
        del self._jobs[job.timer]
        job.timer = 0
        if len(self._entries) > 2 * len(self._jobs) + SWEEP:
            self._entries = [e for e in self._entries if e[1] in self._jobs]
            heapify(self._entries)
            self.first = self._entries[0][0] if self._entries else inf

    def due(self, now: float) -> list[Job]:
        """Take out the jobs whose time has come, the earliest first.

        If there are very many, others are left to the next time.
        """
        jobs: list[Job] = []
        while self._entries and self._entries[0][0] <= now and len(jobs) < MANY_DUE:
            _, timer = heappop(self._entries)
            job = self._jobs.pop(timer, None)
            if job is not None:
                job.timer = 0
                jobs.append(job)
        self.first = self._entries[0][0] if self._entries else inf
        return jobs


class Function:
    """What is known of one function name: jobs, workers, limits."""

    # fmt: off
    __slots__ = (
        "limits", "name", "offered", "pending", "queues", "running", "scheduled",
        "sleepers", "twins", "workers",
    )
    # fmt: on

    def __init__(self, name: bytes, limit: int) -> None:
        self.name = name
        self.queues = (Queue(), Queue(), Queue())
        self.scheduled = [0, 0, 0]
        # By priority; 0 is no limit.
        self.limits = [limit, limit, limit]
        self.running = 0
        self.pending = 0
        self.workers = 0
        # Peers that were asleep when they were put here; who has been woken since is
        # skipped, and put here again when it goes to sleep.
        self.sleepers: OrderedDict[Peer, None] = OrderedDict()
        # Jobs of the unique "-", which stands for the workload itself.
        self.twins: dict[bytes, Job] = {}
        # Whether a worker has or had it, or an admin has made it.
        self.offered = False

    def ready(self) -> bool:
        high, normal, low = self.queues
        return bool(normal.count or high.count or low.count)

    def waiting(self, priority: int) -> int:
        """How many jobs of this priority are queued or scheduled."""
        queue = self.queues[priority]
        return queue.count + self.scheduled[priority]

    def total(self) -> int:
        """How many jobs there are, the running and the pending ones included."""
        return self.running + self.pending + sum(map(self.waiting, (HIGH, NORMAL, LOW)))

    def clear(self) -> None:
        """Let go of jobs that are gone and still lie in a queue.

        They refer to the function, and the collector of cycles does not look at jobs.
        """
        self.queues = (Queue(), Queue(), Queue())


class Uniques:
    """The jobs that a submission may join, by their unique.

    Those of all functions are together, since a status is asked for by the unique
    alone. "-" stands for the workload itself, and is known to the function only. An
    empty unique, or "-" for an empty workload, joins nothing.
    """

    __slots__ = ("_first", "_others")

    def __init__(self) -> None:
        self._first: dict[bytes, Job] = {}
        # Those of further functions, where one unique is used for several.
        self._others: dict[bytes, dict[Function, Job]] = {}

    def first(self, unique: bytes) -> Job | None:
        """Return a job of this unique: the first one, of whatever function."""
        return self._first.get(unique)

    def find(self, function: Function, unique: bytes, workload: bytes) -> Job | None:
        """Return the job that a submission of this function and unique joins."""
        if unique == b"-":
            return function.twins.get(workload)
        job = self._first.get(unique)
        if job is None or job.function is function:
            return job
        others = self._others.get(unique)
        return None if others is None else others.get(function)

    def add(self, job: Job) -> None:
        """Have this job found from now on, whichever was before."""
        unique = job.unique
        if unique == b"-":
            if job.workload:
                job.function.twins[job.workload] = job
        elif unique:
            first = self._first.setdefault(unique, job)
            if first is job:
                return
            if first.function is job.function:
                self._first[unique] = job
            else:
                others = self._others.setdefault(unique, {})
                others[job.function] = job

    def remove(self, job: Job) -> None:
        """Have this job no longer found, if it was."""
        unique = job.unique
        if not unique:
            return
        if unique == b"-":
            if job.function.twins.get(job.workload) is job:
                del job.function.twins[job.workload]
            return
        others = self._others.get(unique) if self._others else None
        if self._first.get(unique) is job:
            if others is None:
                del self._first[unique]
                return
            function = next(iter(others))
            self._first[unique] = others.pop(function)
        elif others is not None and others.get(job.function) is job:
            del others[job.function]
        if others is not None and not others:
            del self._others[unique]


class Receipt:
    """What a peer is owed for a submission: an answer, when there is one.

    Or else a `request` that is still to be carried out: the arguments of a submission.
    """

    __slots__ = ("arguments", "command", "peer", "request")

    def __init__(self, peer: "Peer") -> None:
        self.peer = peer
        self.request: tuple[Any, ...] | None = None
        self.command = 0
        self.arguments: tuple[bytes, ...] = ()


class Peer:
    """One connection: a client, a worker, or both.

    `connection` is for whoever owns the socket. `blocked` is set by it while the
    peer does not take what was sent to it.
    """

    def __init__(self, address: str = "", descriptor: int = -1) -> None:
        self.address = address
        self.descriptor = descriptor
        self.client_id = b"-"
        self.connection: Any = None
        # What is to be sent, and how many bytes that is; and the rest of an answer
        # that is made piece by piece, before which nothing else is carried out.
        self.outbox: list[bytes] = []
        self.size = 0
        self.answering: Iterator[bytes] | None = None
        self.touched: list[Peer] | None = None
        self.blocked = False
        self.exceptions = False
        self.sleep = AWAKE
        # Timeouts in seconds by function name, 0 for none; the functions in the order
        # in which they are asked for jobs.
        self.abilities: dict[bytes, float] = {}
        self.functions: list[Function] = []
        # Functions that do not have it among their sleepers.
        self.unlisted: list[Function] = []
        self.jobs: dict[bytes, Job] = {}
        # The job that this worker has just ended by an exception.
        self.raised = b""
        # Handles of jobs that it took too long for, whose results still count; None
        # if there are none.
        self.late: dict[bytes, None] | None = None
        # When it is passed over, if it was woken and asks for nothing.
        self.patience = 0.0
        # Jobs that ended because of what this worker sent for them, if there were
        # any: what else it sends for them is to be expected.
        self.refused: deque[bytes] | None = None
        # Jobs that it waits for.
        self.waiting: set[Job] = set()
        # What is owed for its submissions, the first one first, from the first one
        # on that has to wait.
        self.receipts: deque[Receipt] | None = None

    def send(self, command: int, arguments: tuple[bytes, ...]) -> None:
        self.write(encode(command, arguments))

    def repeat(self, times: int, command: int, arguments: tuple[bytes, ...]) -> None:
        """Send the same packet several times. What waits is there once."""
        data = encode(command, arguments)
        for _ in range(times):
            self.write(data)

    def write(self, data: bytes) -> None:
        if not self.outbox and self.touched is not None:
            self.touched.append(self)
        self.outbox.append(data)
        self.size += len(data)

    def refuse(self, code: bytes, text: bytes) -> None:
        self.send(ERROR, (code, text))


# What became of a job that did not end as it should: "queued again" or "given up",
# its handle and function, the worker that had it, why, and how often that was so.
Notice = tuple[str, bytes, bytes, Peer, str, int]


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


class Broker:
    """The state machine of the job server.

    Handles are `handle_prefix`, a colon and a number that counts from
    `first_handle`. `retries` is how many workers may be lost with a job before it
    fails, at least one (-1: any number). `wakeup` is how many sleeping workers a
    job wakes (0: all). With `priority_first` a worker's jobs come by priority over
    all of its functions, otherwise by priority within one function at a time;
    `round_robin` moves a function that gave a job behind the worker's others.
    With `timeout_fails` a job that exceeds its timeout fails; otherwise it counts as
    a job whose worker was lost. `exceptions` turns that option on for every peer.

    What goes beyond the `limits` is refused, but for jobs that come from the store.
    `hits` counts how often each one was hit, by the option that sets it; those of
    whoever does the I/O are counted there as well. Bytes of memory are counted three
    times over: `memory` is what the jobs take, `overhead()` is what functions and peers
    do, with all that peers wait for, and `buffers`, which whoever does the I/O keeps up
    to date, is for what was received and not yet carried out, or is still to be sent.

    If it is `persistent`, a background job is acknowledged and can be grabbed only
    after it was stored. Whoever owns the store takes what is to be done out of
    `changes`, jobs to be stored and numbers of jobs to be removed, in their order; and
    tells how it went with the jobs by `durable` or `failed`. While there is an
    `outage`, new background jobs are refused for this reason.
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
    ) -> None:
        self.functions: dict[bytes, Function] = {}
        # How many of them have workers.
        self.staffed = 0
        # All functions, in the order in which to see whether they can be forgotten.
        self._round: deque[Function] = deque()
        # By priority, the functions whose queues are listed.
        self._listed: tuple[dict[Function, None], ...] = ({}, {}, {})
        # By the number of their handle: numbers that follow each other lie side by
        # side in a dictionary, where handles would be all over a large one.
        self.jobs: dict[int, Job] = {}
        self.uniques = Uniques()
        self.peers: dict[Peer, None] = {}
        self.touched: list[Peer] = []
        # Producers and the blocked peers that they sent something to.
        self.congested: list[tuple[Peer, Peer]] = []
        # What an operator should know; whoever does the I/O logs and clears it: what
        # became of jobs, and the limits in `FULL` that were hit.
        self.notices: list[Notice] = []
        self.reached: set[str] = set()
        self.handle_prefix = handle_prefix
        self.next_handle = first_handle
        self.retries = retries
        self.wakeup = wakeup
        self.priority_first = priority_first
        self.round_robin = round_robin
        self.timeout_fails = timeout_fails
        self.exceptions = exceptions
        self.persistent = persistent
        self.limits = limits or Limits()
        self.hits: Counter[str] = Counter()
        self.memory = 0
        self.buffers = 0
        # What names of functions, and what peers do and wait for take.
        self._others = 0
        self.outage = b""
        # Whether stored jobs are left to the next run instead of being queued.
        self.shelving = False
        self.changes: list[Job | int] = []
        # Peers with requests that have to wait, and are better not read from.
        self.deferring: list[Peer] = []
        self.now = 0.0
        self.wall = 0.0
        self._scheduled = Timers()
        self._deadlines = Timers()
        # Peers that were woken lately, the first one first, and when that one is
        # passed over.
        self._woken: OrderedDict[Peer, None] = OrderedDict()
        self._patience = inf
        # Peers that can be sent answers, once the verb at work is done.
        self._payable: list[Peer] = []

    # -- time and connections

    def tick(self, now: float, wall: float) -> None:
        """Set the time, and run what is due.

        `now` is a monotonic clock for timeouts, `wall` the time since the epoch for
        scheduled jobs, both in seconds.
        """
        self.now = now
        self.wall = wall
        if self._scheduled.first <= wall:
            for job in self._scheduled.due(wall):
                job.function.scheduled[job.priority] -= 1
                self._enqueue(job)
        if self._deadlines.first <= now:
            for job in self._deadlines.due(now):
                self._expire(job)
            self._pay()
        if self._patience <= now:
            self._pass_over()

    def delay(self) -> float:
        """Return for how many seconds nothing is due, inf if nothing is pending."""
        first = min(self._deadlines.first, self._patience)
        return min(self._scheduled.first - self.wall, first - self.now)

    def connect(self, peer: Peer) -> None:
        peer.touched = self.touched
        peer.exceptions = self.exceptions
        self.peers[peer] = None

    def disconnect(self, peer: Peer) -> None:
        """Forget a peer: its jobs go back to their queues, nobody waits for others."""
        del self.peers[peer]
        self._woken.pop(peer, None)
        peer.touched = None
        self._owe_nothing(peer)
        for job in peer.waiting:
            self._leave(job, peer)
        peer.waiting.clear()
        self.reset_abilities(peer)
        for job in list(peer.jobs.values()):
            self._lost(job, peer, "its worker was lost")
        self._pay()

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
    ) -> None:
        """Create a job, or join the one that has the same function and unique.

        `when` is in seconds since the epoch. A background submission that joins a
        foreground job makes it a background job, which outlives its clients.
        """
        if peer.receipts and not background:
            receipt = Receipt(peer)
            receipt.request = (name, unique, workload, priority, False, when, reducer)
            self._others += self._size_of(receipt.request)
            self._owe_to(peer, receipt)
            self.deferring.append(peer)
        else:
            self._submit(
                None, peer, name, unique, workload, priority, background, when, reducer
            )

    def _submit(
        self,
        receipt: Receipt | None,
        peer: Peer,
        name: bytes,
        unique: bytes,
        workload: bytes,
        priority: int,
        background: bool,
        when: int,
        reducer: bytes | None,
    ) -> None:
        """Carry out a submission, whose answer the receipt is for if it had to wait."""
        if len(unique) > MAX_UNIQUE:
            text = b"Unique value too large"
            return self._refuse(receipt, peer, b"ARGUMENT_TOO_LARGE", text)
        if len(name) > MAX_FUNCTION or (reducer and len(reducer) > MAX_FUNCTION):
            text = b"Function name too large"
            return self._refuse(receipt, peer, b"ARGUMENT_TOO_LARGE", text)
        function = self.functions.get(name)
        if function is None:
            if not self.admits(name):
                text = FULL["max-functions"]
                return self._refuse(receipt, peer, b"QUEUE_ERROR", text)
            function = self.function(name)
        job = self.uniques.find(function, unique, workload) if unique else None
        if background and self.outage and (job is None or not job.background):
            return self._refuse(receipt, peer, b"QUEUE_ERROR", self.outage)
        if job is None:
            size = _size(workload, unique)
            limit = self._limit(function, priority, size)
            if limit is not None:
                self.hit(limit)
                return self._refuse(receipt, peer, b"QUEUE_ERROR", FULL[limit])
            job = self._job(function, unique, workload, size)
            job.priority = priority
            job.background = background
            job.when = when
            if reducer is not None:
                self._reduce(job, reducer)
            if unique:
                self.uniques.add(job)
            if background and self.persistent:
                job.state = PENDING
                function.pending += 1
                self._store(job)
            else:
                self._place(job)
        elif background and not job.background:
            job.background = True
            if self.persistent:
                self._store(job)
        if not background:
            self._join(job, peer)
        if job.receipts is not None and (background or job.state == PENDING):
            return self._owe(receipt, peer, job)
        return self._answer(receipt, peer, JOB_CREATED, (job.handle,))

    def get_status(self, peer: Peer, handle: bytes) -> None:
        if len(handle) > MAX_HANDLE:
            return peer.refuse(b"ARGUMENT_TOO_LARGE", b"Job handle too large")
        status = _status(self.find(handle))
        return peer.send(STATUS_RES, (handle, *status))

    def get_status_unique(self, peer: Peer, unique: bytes) -> None:
        """Answer for the first job of this unique, whatever its function."""
        if len(unique) > MAX_UNIQUE:
            return peer.refuse(b"ARGUMENT_TOO_LARGE", b"Unique value too large")
        job = self.uniques.first(unique)
        joins = 0
        if job is not None and job.clients is not None:
            for client in job.clients:
                joins += job.joined(client)
        answer = (unique, *_status(job), b"%d" % joins)
        return peer.send(STATUS_RES_UNIQUE, answer)

    # -- workers

    def can_do(self, peer: Peer, name: bytes, timeout: float = 0.0) -> None:
        """Register a function, with the seconds that a job of it may take (0: any)."""
        if len(name) > MAX_FUNCTION:
            return peer.refuse(b"ARGUMENT_TOO_LARGE", b"Function name too large")
        if timeout > 0:
            timeout = max(timeout, MIN_TIMEOUT)
        if name in peer.abilities:
            peer.abilities[name] = timeout
            return None
        if 0 < self.limits.functions_per_worker <= len(peer.functions):
            limit = "max-functions-per-worker"
            self.hit(limit)
            return peer.refuse(b"QUEUE_ERROR", FULL[limit])
        if not self.admits(name, True):
            return peer.refuse(b"QUEUE_ERROR", FULL["max-functions"])
        function = self.function(name)
        # The name is the function's own, which all of its workers share.
        peer.abilities[function.name] = timeout
        peer.functions.insert(0, function)
        if not function.workers:
            self.staffed += 1
        function.workers += 1
        self._others += ABILITY_MEMORY
        function.offered = True
        if peer.sleep == SLEEPING:
            function.sleepers[peer] = None
            self._pass_on([function])
        else:
            peer.unlisted.append(function)
        return None

    def cant_do(self, peer: Peer, name: bytes) -> None:
        """Take a function back. A job of it that is running may still be finished."""
        if name in peer.abilities:
            del peer.abilities[name]
            function = self.functions[name]
            peer.functions.remove(function)
            if function in peer.unlisted:
                peer.unlisted.remove(function)
            self._unregister(peer, function)

    def reset_abilities(self, peer: Peer) -> None:
        """Take all functions back. Running jobs may still be finished."""
        functions, peer.functions = peer.functions, []
        peer.unlisted.clear()
        peer.abilities.clear()
        for function in functions:
            self._unregister(peer, function)

    def pre_sleep(self, peer: Peer) -> None:
        """Have a worker told when there is a job for it, at once if there is one."""
        if peer.sleep == SLEEPING and not self.wakeup:
            # There is none: all who sleep would have been woken.
            return None
        if self._has_work(peer):
            return self._rouse(peer)
        peer.sleep = SLEEPING
        for function in peer.unlisted:
            function.sleepers[peer] = None
        peer.unlisted.clear()
        return None

    def grab(self, peer: Peer) -> None:
        job = self._take(peer)
        if job is None:
            return peer.send(NO_JOB, ())
        return peer.send(JOB_ASSIGN, (job.handle, job.function.name, job.workload))

    def grab_unique(self, peer: Peer) -> None:
        job = self._take(peer)
        if job is None:
            return peer.send(NO_JOB, ())
        return self._assign_unique(peer, job)

    def grab_all(self, peer: Peer) -> None:
        """Assign a job with its reducer, if it has one."""
        job = self._take(peer)
        if job is None:
            return peer.send(NO_JOB, ())
        if job.reducer is None:
            return self._assign_unique(peer, job)
        name = job.function.name
        found = (job.handle, name, job.unique, job.reducer, job.workload)
        return peer.send(JOB_ASSIGN_ALL, found)

    def status(
        self, peer: Peer, handle: bytes, numerator: bytes, denominator: bytes
    ) -> None:
        """Keep how far a job has come, and tell its clients in the worker's words."""
        job = self._owned(peer, handle)
        if job is not None:
            job.numerator = _number(numerator)
            job.denominator = _number(denominator)
            self._forward(job, WORK_STATUS, (handle, numerator, denominator))

    def data(self, peer: Peer, handle: bytes, data: bytes) -> None:
        job = self._owned(peer, handle, b"Job does not exist on server")
        if job is not None:
            self._forward(job, WORK_DATA, (handle, data))
        elif peer.late:
            # A result that lacks this part is not the job's any longer.
            peer.late.pop(handle, None)

    def warning(self, peer: Peer, handle: bytes, data: bytes) -> None:
        job = self._owned(peer, handle, b"Job does not exist on server")
        if job is not None:
            self._forward(job, WORK_WARNING, (handle, data))

    def complete(self, peer: Peer, handle: bytes, result: bytes) -> None:
        """End a job, the late one as well that another worker has or waits for."""
        job = self._ended(peer, handle)
        if job is not None:
            self._forward(job, WORK_COMPLETE, (handle, result))
            self._finish(job)

    def fail(self, peer: Peer, handle: bytes) -> None:
        """End a job. Workers that follow the PROTOCOL fail a job that they have just
        ended by an exception: that is no mistake of theirs, and changes nothing."""
        if handle == peer.raised:
            peer.raised = b""
            return
        job = self._ended(peer, handle)
        if job is not None:
            self._forward(job, WORK_FAIL, (job.handle,))
            self._finish(job)

    def exception(self, peer: Peer, handle: bytes, data: bytes) -> None:
        """End a job; clients that did not ask for exceptions see a failure."""
        text = b"An exception was received for a job that does not exist"
        job = self._ended(peer, handle, text)
        if job is not None:
            self._raise(job, data)
            peer.raised = handle
            self._finish(job)

    def refuse_result(self, peer: Peer, handle: bytes, size: int, limit: int) -> None:
        """End a job for which a worker has begun to send a packet that is too large.

        It is not queued again, since any worker would send the same. This one is told
        nothing: workers expect no answer here, and take one for that to their next
        request. `size` and `limit` are in bytes.
        """
        job = self._ended(peer, handle)
        if job is None:
            return
        reason = f"a packet of {size} bytes for it is over the limit of {limit}"
        job.retries += 1
        self._note("given up", job, peer, reason)
        self._raise(job, reason.encode())
        if peer.refused is None:
            peer.refused = deque(maxlen=MAX_REFUSED)
        peer.refused.append(handle)
        self._finish(job)

    # -- limits

    def overhead(self) -> int:
        """Return how many bytes of memory functions and peers take, about."""
        timers = self._scheduled.count() + self._deadlines.count()
        known = FUNCTION_MEMORY * len(self.functions) + PEER_MEMORY * len(self.peers)
        return self._others + known + TIMER_MEMORY * timers

    def over_budget(self) -> bool:
        """Whether peers make the server keep more than it may."""
        held = self.memory + self.buffers + self.overhead()
        return 0 < self.limits.memory < held

    def hit(self, limit: str) -> None:
        """Count that something went beyond a limit, and was refused."""
        self.hits[limit] += 1
        self.reached.add(limit)

    def admits(self, name: bytes, for_worker: bool = False) -> bool:
        """Whether a function of this name is known, or may become known.

        A function that nobody needs is forgotten for it, if one is found soon. Those
        that have jobs only keep no worker out: for it only those count that have
        workers.
        """
        limit = self.limits.functions
        if len(self.functions) < (limit or MANY_FUNCTIONS) or name in self.functions:
            return True
        if self._forget_function() or not limit:
            return True
        if for_worker and self.staffed < limit:
            return True
        self.hit("max-functions")
        return False

    def _forget_function(self) -> bool:
        for _ in range(min(SWEEP, len(self._round))):
            function = self._round.popleft()
            if not (function.workers or function.total() or self._has_limits(function)):
                self._leave_out(function)
                return True
            self._round.append(function)
        return False

    def _has_limits(self, function: Function) -> bool:
        """Whether a function was given limits of its own."""
        return function.limits != [self.limits.jobs_per_function] * 3

    def _limit(self, function: Function, priority: int, size: int) -> str | None:
        """Return what keeps a job of this size from being taken."""
        limits = self.limits
        most: int = function.limits[priority]
        if 0 < most <= function.total():
            return "max-jobs-per-function"
        if 0 < limits.jobs <= len(self.jobs):
            return "max-jobs"
        if 0 < limits.job_memory < self.memory + size:
            return "max-job-memory"
        return None

    # -- administration

    def function(self, name: bytes) -> Function:
        """Return the function of this name, which is known from now on."""
        function = self.functions.get(name)
        if function is None:
            function = Function(name, self.limits.jobs_per_function)
            self.functions[name] = function
            self._round.append(function)
            self._others += len(name)
        return function

    def drop(self, name: bytes) -> bool:
        """Forget a function. Returns False if it has workers or jobs."""
        function = self.functions[name]
        if function.workers or function.total():
            return False
        self._round.remove(function)
        self._leave_out(function)
        return True

    def _leave_out(self, function: Function) -> None:
        del self.functions[function.name]
        self._others -= len(function.name)
        for listed in self._listed:
            listed.pop(function, None)
        function.clear()

    def cancel(self, handle: bytes) -> bool:
        """Fail a job for all who wait for it. Returns False if it is unknown.

        The worker that runs it, if there is one, finishes it for nobody.
        """
        job = self.find(handle)
        if job is None:
            return False
        self._forward(job, WORK_FAIL, (handle,))
        job.background = False
        self._retire(job)
        if job.state != RUNNING:
            self._remove(job)
        self._pay()
        return True

    # -- the store

    def durable(self, jobs: list[Job]) -> None:
        """Acknowledge jobs that are stored, and let them be grabbed."""
        for job in jobs:
            self._settle(job, JOB_CREATED, (job.handle,))
            if job.state == PENDING:
                job.function.pending -= 1
                self._place(job)
            else:
                self._shelve_idle(job)
        self._pay()

    def failed(self, jobs: list[Job], reason: bytes) -> None:
        """Refuse jobs that could not be stored.

        They may be in the store all the same, so they are removed from it. A job that
        was stored before, and changed since, stays as it was stored.
        """
        for job in jobs:
            if job.receipts is None:
                continue
            self._settle(job, ERROR, (b"QUEUE_ERROR", reason))
            job.background = False
            if job.state == PENDING or job.state != RUNNING and not job.wanted():
                self._remove(job)
                self._retire(job)
            else:
                job.stored = False
                self.changes.append(job.number)
        self._pay()

    def store_again(self, numbers: Sequence[int]) -> None:
        """Have jobs stored that the store has forgotten."""
        for number in numbers:
            job = self.jobs.get(number)
            if job is not None and job.stored:
                self.changes.append(job)

    def restore(
        self,
        number: int,
        handle: bytes,
        name: bytes,
        unique: bytes,
        workload: bytes,
        priority: int,
        when: int,
        retries: int,
        reducer: bytes | None,
    ) -> None:
        """Take up a job that was stored by an earlier run.

        It keeps its handle, if that ends with its number as all handles do.
        """
        following = max(self.next_handle, number + 1)
        self.next_handle = number
        size = _size(workload, unique)
        job = self._job(self.function(name), unique, workload, size)
        self.next_handle = following
        if handle.endswith(b":%d" % number):
            job.handle = handle
        job.priority = priority
        job.background = True
        job.stored = True
        job.when = when
        job.retries = retries
        if reducer is not None:
            self._reduce(job, reducer)
        self.uniques.add(job)
        self._place(job)

    def shelve(self) -> int:
        """Leave stored jobs to the next run, and return how many there are.

        From now on this goes for every stored job that does not run and that nobody
        waits for; those are no longer known here.
        """
        self.shelving = True
        jobs = list(self.jobs.values())
        for job in jobs:
            self._shelve_idle(job)
        return len(jobs) - len(self.jobs)

    def _shelve_idle(self, job: Job) -> None:
        """Leave a job to the next run that nothing keeps in this one any longer."""
        idle = job.state == QUEUED or job.state == SCHEDULED
        awaited = bool(job.clients) or job.receipts is not None
        if self.shelving and job.stored and idle and not awaited:
            self._remove(job)
            self._shelve(job)

    def _shelve(self, job: Job) -> None:
        self._forget(job)
        job.state = GONE

    def _store(self, job: Job) -> None:
        job.stored = True
        job.receipts = []
        self.changes.append(job)

    def _settle(self, job: Job, command: int, arguments: tuple[bytes, ...]) -> None:
        """Decide on the answer to all who are owed one for a job; `_pay` sends it."""
        receipts, job.receipts = job.receipts, None
        if receipts is None:
            return
        self._others -= RECEIPT_MEMORY * len(receipts)
        for receipt in receipts:
            receipt.command = command
            receipt.arguments = arguments
            if not self._payable or self._payable[-1] is not receipt.peer:
                self._payable.append(receipt.peer)

    def _owe(self, receipt: Receipt | None, peer: Peer, job: Job) -> None:
        if receipt is None:
            receipt = Receipt(peer)
            if peer.receipts is None:
                peer.receipts = deque()
            self._owe_to(peer, receipt)
        assert job.receipts is not None  # noqa: S101
        job.receipts.append(receipt)
        self._others += RECEIPT_MEMORY

    def _owe_to(self, peer: Peer, receipt: Receipt) -> None:
        assert peer.receipts is not None  # noqa: S101
        peer.receipts.append(receipt)
        self._others += RECEIPT_MEMORY

    def _owe_nothing(self, peer: Peer) -> None:
        """Forget what a peer is owed that is gone."""
        for receipt in peer.receipts or ():
            self._others -= RECEIPT_MEMORY
            if receipt.request is not None:
                self._others -= self._size_of(receipt.request)
        peer.receipts = None

    def _size_of(self, request: tuple[Any, ...]) -> int:
        name, unique, workload, _, _, _, reducer = request
        size = len(name) + len(unique) + len(workload)
        size += REQUEST_MEMORY
        return size if reducer is None else size + len(reducer)

    def refuse(self, peer: Peer, code: bytes, text: bytes) -> None:
        """Refuse what may have been a submission, after the answers to those before."""
        self._refuse(None, peer, code, text)

    def _refuse(
        self, receipt: Receipt | None, peer: Peer, code: bytes, text: bytes
    ) -> None:
        self._answer(receipt, peer, ERROR, (code, text))

    def _answer(
        self,
        receipt: Receipt | None,
        peer: Peer,
        command: int,
        arguments: tuple[bytes, ...],
    ) -> None:
        """Answer a submission, after those that came before it."""
        if receipt is None:
            if not peer.receipts:
                return peer.send(command, arguments)
            receipt = Receipt(peer)
            self._owe_to(peer, receipt)
        receipt.command = command
        receipt.arguments = arguments
        return None

    def _pay(self) -> None:
        """Send the answers that were decided on, and carry out what waited for them.

        That is requests of others, so nothing may be half done when this is called.
        """
        if self._payable:
            peers, self._payable = self._payable, []
            for peer in peers:
                self._pay_to(peer)

    def _pay_to(self, peer: Peer) -> None:
        """Send a peer the answers that have not to wait for another any longer."""
        while peer.receipts:
            receipt = peer.receipts[0]
            if receipt.request is not None:
                self._resume(receipt)
            if not receipt.command:
                return
            peer.receipts.popleft()
            self._others -= RECEIPT_MEMORY
            peer.send(receipt.command, receipt.arguments)

    def _resume(self, receipt: Receipt) -> None:
        """Carry out the request of the receipt whose turn has come."""
        request, receipt.request = receipt.request, None
        assert request  # noqa: S101
        self._others -= self._size_of(request)
        name, unique, workload, priority, background, when, reducer = request
        peer = receipt.peer
        self._submit(
            receipt, peer, name, unique, workload, priority, background, when, reducer
        )

    def find(self, handle: bytes) -> Job | None:
        """Return the job of this handle."""
        number = handle.rpartition(b":")[2]
        if not number.isdigit() or len(number) > MAX_DIGITS:
            return None
        job = self.jobs.get(int(number))
        return job if job is not None and job.handle == handle else None

    def _handle(self, number: int) -> bytes:
        return b"%b:%d" % (self.handle_prefix, number)

    def _job(
        self, function: Function, unique: bytes, workload: bytes, size: int
    ) -> Job:
        """Make a job of normal priority. It is in no place so far."""
        # Filled in here, since calling a constructor with so many arguments would be
        # a good part of what a job costs in the compiled build.
        job = Job.__new__(Job)
        job.number = self.next_handle
        job.handle = self._handle(job.number)
        self.next_handle += 1
        job.function = function
        job.unique = unique
        job.workload = workload
        job.priority = NORMAL
        job.background = False
        job.when = 0
        job.reducer = None
        job.state = GONE
        job.retries = 0
        job.numerator = job.denominator = 0
        job.timer = 0
        job.worker = None
        job.clients = None
        job.joins = None
        job.stored = False
        job.receipts = None
        self.jobs[job.number] = job
        self.memory += size
        return job

    def _reduce(self, job: Job, reducer: bytes) -> None:
        job.reducer = reducer
        self.memory += len(reducer)

    def _forget(self, job: Job) -> None:
        """Let nobody find a job any longer."""
        if self.jobs.pop(job.number, None) is not None:
            self.memory -= _size(job.workload, job.unique)
            self.uniques.remove(job)
            if job.reducer is not None:
                self.memory -= len(job.reducer)
            if not job.stored:
                # What still refers to the job need not keep that. The store may.
                job.workload = b""

    # -- where a job is

    def _place(self, job: Job) -> None:
        if self.shelving and job.stored and not job.clients:
            self._shelve(job)
        elif job.when > self.wall:
            job.state = SCHEDULED
            job.function.scheduled[job.priority] += 1
            self._scheduled.start(job, job.when)
        else:
            self._enqueue(job)

    def _enqueue(self, job: Job) -> None:
        function = job.function
        queue = function.queues[job.priority]
        queue.push(job)
        if not queue.listed:
            queue.listed = True
            self._listed[job.priority][function] = None
        if function.sleepers:
            self._wake(function)

    def _remove(self, job: Job) -> None:
        """Take a job that does not run out of its place."""
        if job.state == QUEUED:
            queue = job.function.queues[job.priority]
            queue.discard(job)
        elif job.state == PENDING:
            job.function.pending -= 1
            job.state = GONE
        else:
            job.function.scheduled[job.priority] -= 1
            self._scheduled.stop(job)
            job.state = GONE

    def _take(self, peer: Peer) -> Job | None:
        """Give the peer its next job, if there is one."""
        woken = peer.sleep == WOKEN
        peer.sleep = AWAKE
        job = self._first(peer) if self.priority_first else self._next(peer)
        if woken and self.wakeup:
            self._pass_on(peer.functions)
        return job

    def _first(self, peer: Peer) -> Job | None:
        for priority in range(HIGH, LOW + 1):
            functions = peer.functions
            if len(functions) > FEW:
                functions = self._candidates(peer, priority, priority)
            for function in functions:
                queue = function.queues[priority]
                if queue.count:
                    return self._assign(peer, function, priority)
        return None

    def _next(self, peer: Peer) -> Job | None:
        functions = peer.functions
        if len(functions) > FEW:
            functions = self._candidates(peer, HIGH, LOW)
        for function in functions:
            for priority in range(HIGH, LOW + 1):
                queue = function.queues[priority]
                if queue.count:
                    return self._assign(peer, function, priority)
        return None

    def _has_work(self, peer: Peer) -> bool:
        """Whether a function of this worker has a job for it."""
        functions = peer.functions
        if len(functions) > FEW:
            functions = self._candidates(peer, HIGH, LOW)
        # Written out, since compiled methods have no generators.
        for function in functions:  # noqa: SIM110
            if function.ready():
                return True
        return False

    def _candidates(self, peer: Peer, first: int, last: int) -> list[Function]:
        """Return which functions of a worker to look at for jobs, in their order.

        That is for jobs of these priorities, and for a worker with many functions:
        those that have jobs are looked through, unless still more of these are not the
        worker's, and few of them are put in order.
        """
        found: list[Function] = []
        others = 0
        for priority in range(first, last + 1):
            listed = self._listed[priority]
            empty: list[Function] = []
            for function in listed:
                queue = function.queues[priority]
                if not queue.count:
                    empty.append(function)
                elif function.name in peer.abilities:
                    found.append(function)
                else:
                    others += 1
                    if others > len(peer.functions):
                        break
            for function in empty:
                queue = function.queues[priority]
                queue.listed = False
                del listed[function]
        if others > len(peer.functions) or len(found) > FEW:
            return peer.functions
        return _sorted(found, peer.functions)

    def _assign(self, peer: Peer, function: Function, priority: int) -> Job:
        if self.round_robin and len(peer.functions) > 1:
            peer.functions.remove(function)
            peer.functions.append(function)
        queue = function.queues[priority]
        job = queue.pop()
        job.state = RUNNING
        job.worker = peer
        peer.jobs[job.handle] = job
        self._others += RUN_MEMORY
        function.running += 1
        timeout = peer.abilities[function.name]
        if timeout > 0:
            self._deadlines.start(job, self.now + timeout)
        return job

    def _assign_unique(self, peer: Peer, job: Job) -> None:
        found = (job.handle, job.function.name, job.unique, job.workload)
        peer.send(JOB_ASSIGN_UNIQ, found)

    def _owned(
        self,
        peer: Peer,
        handle: bytes,
        text: bytes = b"Job given in work result not found",
    ) -> Job | None:
        job = peer.jobs.get(handle)
        if job is None and (peer.refused is None or handle not in peer.refused):
            peer.refuse(b"JOB_NOT_FOUND", text)
        return job

    def _ended(
        self,
        peer: Peer,
        handle: bytes,
        text: bytes = b"Job given in work result not found",
    ) -> Job | None:
        """Return the job that ends by a peer's result, even if that comes late."""
        if peer.late and handle in peer.late:
            del peer.late[handle]
            job = self.find(handle)
            if job is not None and job.wanted():
                return job
        return self._owned(peer, handle, text)

    def _release(self, job: Job) -> None:
        """Take a running job from its worker."""
        worker = job.worker
        assert worker is not None  # noqa: S101
        del worker.jobs[job.handle]
        self._others -= RUN_MEMORY
        job.worker = None
        job.state = GONE
        job.function.running -= 1
        if job.timer:
            self._deadlines.stop(job)

    def _finish(self, job: Job) -> None:
        if job.state == RUNNING:
            self._release(job)
        else:
            self._remove(job)
        self._retire(job)
        self._pay()

    def _lost(self, job: Job, worker: Peer, reason: str) -> None:
        """Queue a job again whose worker is gone or was too slow."""
        self._release(job)
        if not job.wanted():
            return self._retire(job)
        job.retries += 1
        job.numerator = job.denominator = 0
        if 0 <= self.retries <= job.retries:
            return self._give_up(job, worker, reason)
        self._note("queued again", job, worker, reason)
        if job.stored:
            self.changes.append(job)
        return self._place(job)

    def _expire(self, job: Job) -> None:
        worker = job.worker
        assert worker is not None  # noqa: S101
        reason = "it took longer than its timeout"
        if self.timeout_fails:
            self._release(job)
            job.retries += 1
            self._give_up(job, worker, reason)
        else:
            self._lost(job, worker, reason)
            self._expect(worker, job.handle)

    def _expect(self, worker: Peer, handle: bytes) -> None:
        """Let a result of this worker count that comes late."""
        if worker.late is None:
            worker.late = {}
        worker.late[handle] = None
        if len(worker.late) > MAX_LATE:
            del worker.late[next(iter(worker.late))]

    def _give_up(self, job: Job, worker: Peer, reason: str) -> None:
        self._note("given up", job, worker, reason)
        self._forward(job, WORK_FAIL, (job.handle,))
        self._retire(job)

    def _note(self, event: str, job: Job, worker: Peer, reason: str) -> None:
        name = job.function.name
        self.notices.append((event, job.handle, name, worker, reason, job.retries))

    # -- who waits, who sleeps

    def _join(self, job: Job, peer: Peer) -> None:
        """Attach a client, once for each of its submissions."""
        if job.clients is None:
            job.clients = []
        elif job in peer.waiting:
            if job.joins is None:
                job.joins = {}
            job.joins[peer] = job.joined(peer) + 1
            return
        job.clients.append(peer)
        peer.waiting.add(job)
        self._others += WAIT_MEMORY

    def _leave(self, job: Job, peer: Peer) -> None:
        assert job.clients is not None  # noqa: S101
        job.clients.remove(peer)
        if job.joins is not None:
            job.joins.pop(peer, None)
        self._others -= WAIT_MEMORY
        if not job.wanted() and job.state != RUNNING:
            self._remove(job)
            self._retire(job)
        else:
            self._shelve_idle(job)

    def _retire(self, job: Job) -> None:
        """Forget a job, and detach those who wait for it."""
        if job.stored:
            self.changes.append(job.number)
            self._settle(job, JOB_CREATED, (job.handle,))
        self._forget(job)
        clients = job.clients
        if clients is not None:
            for client in clients:
                client.waiting.discard(job)
            self._others -= WAIT_MEMORY * len(clients)
            job.clients = job.joins = None

    def _forward(self, job: Job, command: int, arguments: tuple[bytes, ...]) -> None:
        clients = job.clients
        if clients is None:
            return
        for client in clients:
            if job.joins is None:
                client.send(command, arguments)
            else:
                client.repeat(job.joined(client), command, arguments)
            if client.blocked and job.worker is not None:
                self.congested.append((job.worker, client))

    def _raise(self, job: Job, data: bytes) -> None:
        """Tell the clients of a job of an exception, as far as they asked for it."""
        for client in job.clients or ():
            if client.exceptions:
                exception = (job.handle, data)
                client.repeat(job.joined(client), WORK_EXCEPTION, exception)
            else:
                client.repeat(job.joined(client), WORK_FAIL, (job.handle,))

    def _unregister(self, peer: Peer, function: Function) -> None:
        function.workers -= 1
        self._others -= ABILITY_MEMORY
        if not function.workers:
            self.staffed -= 1
        function.sleepers.pop(peer, None)
        if peer.sleep == WOKEN:
            self._pass_on([function])

    def _wake(self, function: Function) -> None:
        left = self.wakeup or len(function.sleepers)
        while left and function.sleepers:
            peer, _ = function.sleepers.popitem(last=False)
            peer.unlisted.append(function)
            if peer.sleep == SLEEPING:
                self._rouse(peer)
                left -= 1

    def _rouse(self, peer: Peer) -> None:
        peer.sleep = WOKEN
        peer.send(NOOP, ())
        if self.wakeup:
            peer.patience = self.now + WAKE_PATIENCE
            self._woken[peer] = None
            self._woken.move_to_end(peer)
            first = next(iter(self._woken))
            self._patience = first.patience

    def _pass_over(self) -> None:
        """Wake others in the place of those who were woken and ask for nothing."""
        while self._woken:
            peer = next(iter(self._woken))
            if peer.patience > self.now:
                break
            del self._woken[peer]
            if peer.sleep == WOKEN:
                self._pass_on(peer.functions)
        self._patience = peer.patience if self._woken else inf

    def _pass_on(self, functions: list[Function]) -> None:
        for function in functions:
            if function.sleepers and function.ready():
                self._wake(function)


def _sorted(found: list[Function], functions: list[Function]) -> list[Function]:
    return sorted(found, key=functions.index) if len(found) > 1 else found


def _size(workload: bytes, unique: bytes) -> int:
    """Return how many bytes of memory a job takes."""
    size = JOB_MEMORY + len(workload)
    return size + UNIQUE_MEMORY + len(unique) if unique else size


def _status(job: Job | None) -> tuple[bytes, bytes, bytes, bytes]:
    """Return known, running, numerator and denominator."""
    if job is None:
        return b"0", b"0", b"0", b"0"
    running = b"1" if job.state == RUNNING else b"0"
    return b"1", running, b"%d" % job.numerator, b"%d" % job.denominator


def _number(text: bytes) -> int:
    """Read a number as gearmand does: leading digits, at most 32 bits, else 0."""
    digits = _DIGITS.match(text[:MAX_NUMBER_TEXT])
    return min(int(b"0" + digits[1]), 0xFFFFFFFF) if digits else 0
