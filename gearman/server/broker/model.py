"""What the broker knows: jobs, their functions and queues, and peers.

They are in one file because they refer to each other, as C types in the compiled build.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from math import inf
from typing import TYPE_CHECKING, Any

from ...framing import encode
from .constants import AWAKE, ERROR, NORMAL, SWEEP
from .states import QUEUED
from .stats import Stats
from .steering.start_limits import StartLimits

if TYPE_CHECKING:
    from ...options import JobOptions, Policy

# Dead entries of a queue may have workloads of so many bytes in all.
SWEEP_BYTES = 16 * 1024 * 1024


class Job:
    """A job from its submission until it is finished, cancelled or dropped.

    It has no methods: in the compiled build they would cost each job eight bytes.
    """

    # fmt: off
    __slots__ = (
        "background", "clients", "extra", "function", "handle", "joins", "number",
        "priority", "progress", "receipts", "reducer", "retries", "since", "state",
        "stored", "timer", "unique", "when", "worker", "workload",
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
    # The numerator and denominator of its last WORK_STATUS. One slot more would make
    # each job of the plain build 16 bytes larger.
    progress: tuple[int, int]
    timer: int
    # When it was queued, or when its worker got it, in seconds of the monotonic clock.
    since: float
    worker: "Peer | None"
    # Each client is in the list once, even if it has joined several times. `joins` has
    # how often, for clients that have joined more than once.
    clients: "list[Peer] | None"
    joins: "dict[Peer, int] | None"
    # Whether the job was given to the store. Submissions that are answered when it is
    # stored; None if none wait for that.
    stored: bool
    receipts: "list[Receipt] | None"
    # None for a job without options that has not failed.
    extra: "Extra | None"


def is_wanted(job: Job) -> bool:
    """Whether a job is still needed: it has clients, or is a background job."""
    return job.background or bool(job.clients)


def joins_of(job: Job, client: "Peer") -> int:
    """Return how many submissions of this client a job has."""
    return 1 if job.joins is None else job.joins.get(client, 1)


class Extra:
    """What a job has beyond the standard: its options, attempts and end.

    Times are in seconds since the epoch; 0 is none. `submitted` is when it came. It
    does not start before `due`, and is given up if it was not started until `expires`
    (-1: its time to live begins when it is queued). `attempts` counts the attempts that
    failed, and `awaits` the jobs that must end before it. `moved` says that it came
    from a function that gave it up.

    A job that a schedule has submitted has the name of that and its time in `run`. A
    dead job `died` for a `reason`, and `error` has its last exception. `record` is
    what the store keeps of this object, and `size` the memory that it takes, in bytes.
    A job that was borrowed from another server of the cluster has that as its `lender`.
    """

    # fmt: off
    __slots__ = (
        "attempts", "awaits", "died", "due", "error", "expires", "lender", "moved",
        "options", "reason", "record", "run", "size", "submitted",
    )
    # fmt: on

    def __init__(self, options: "JobOptions | None", submitted: float) -> None:
        self.options = options
        self.submitted = submitted
        self.due = 0.0
        self.expires = 0.0
        self.attempts = 0
        self.awaits = 0
        self.moved = False
        self.died = 0.0
        self.reason = b""
        self.error: bytes | None = None
        self.record = b""
        self.run: tuple[str, float] | None = None
        self.lender: object = None
        self.size = 0


class Record:
    """Something that the store keeps beside jobs; or, without `extra`, its removal."""

    __slots__ = ("extra", "handle", "name", "number", "workload")

    def __init__(
        self,
        number: int,
        extra: bytes,
        handle: bytes = b"",
        name: bytes = b"",
        workload: bytes = b"",
    ) -> None:
        self.number = number
        self.extra = extra
        self.handle = handle
        self.name = name
        self.workload = workload


class Queue:
    """The jobs of one function and priority, first in, first out.

    A queue is `listed` (see Choice) when it gets its first job. When it is empty it
    stays listed until the next search finds it empty.
    """

    __slots__ = ("_entries", "_gone", "count", "listed")

    def __init__(self) -> None:
        self.listed = False
        self._entries: deque[Job] = deque()
        self.count = 0
        # Bytes of workloads of the dead entries since the last sweep.
        self._gone = 0

    def push(self, job: Job) -> None:
        """Append a job; its state is QUEUED already."""
        self._entries.append(job)
        self.count += 1

    def pop(self) -> Job:
        """Remove and return the first job. There must be one: check `count` before."""
        job = self._entries.popleft()
        while job.state != QUEUED:
            job = self._entries.popleft()
        self.count -= 1
        return job

    def take(self, choose: Callable[[Job], bool | None]) -> list[Job]:
        """Remove and return the jobs that are chosen, from the first one on.

        `choose` is called with each job: it returns whether the job is taken, or None
        to take no more.
        """
        taken: list[Job] = []
        others: list[Job] = []
        while (job := self.first()) is not None:
            choice = choose(job)
            if choice is None:
                break
            self._entries.popleft()
            (taken if choice else others).append(job)
        self._entries.extendleft(reversed(others))
        self.count -= len(taken)
        return taken

    def first(self) -> Job | None:
        """Return the first job, None if there is none."""
        entries = self._entries
        while entries and entries[0].state != QUEUED:
            entries.popleft()
        return entries[0] if entries else None

    def advance_last(self) -> None:
        """Put the job that was pushed last before all but the borrowed ones."""
        entries = self._entries
        last = entries.pop()
        at = 0
        while at < len(entries) and not _belongs_here(entries[at]):
            at += 1
        entries.insert(at, last)

    def discard(self, job: Job) -> None:
        """Remove a job from any place in the queue; its state is no longer QUEUED."""
        self.count -= 1
        if self._entries[0] is job:
            self._entries.popleft()
        else:
            self._gone += len(job.workload)
        crowded = len(self._entries) > 2 * self.count + SWEEP
        if crowded or not self.count or self._gone > SWEEP_BYTES:
            self._entries = deque([j for j in self._entries if j.state == QUEUED])
            self._gone = 0


def _belongs_here(job: Job) -> bool:
    """Whether an entry is alive, and its job is of this server."""
    borrowed = job.extra is not None and job.extra.lender is not None
    return job.state == QUEUED and not borrowed


class ExpiryGroup:
    """Jobs of a function that expire at the same time.

    `passed` of them, the first ones, are None by now.
    """

    __slots__ = ("expires", "jobs", "passed")

    def __init__(self, expires: float) -> None:
        self.expires = expires
        self.jobs: list[Job | None] = []
        self.passed = 0


class ExpiryLine:
    """Jobs of a function and a priority, in the order in which they expire.

    `count` is how many there are. No group is empty; `first` and `last` are the first
    and the last one.
    """

    __slots__ = ("count", "first", "groups", "last")

    def __init__(self) -> None:
        self.count = 0
        self.groups: deque[ExpiryGroup] = deque()
        self.first: ExpiryGroup | None = None
        self.last: ExpiryGroup | None = None


class Function:
    """One function: its jobs, workers and limits."""

    # fmt: off
    __slots__ = (
        "awaiting", "borrowed", "borrowers", "exacting", "fresh", "held", "keep",
        "lenders", "limits", "look", "mortal", "name", "offered", "pending", "policy",
        "priority", "queues", "running", "scheduled", "sleepers", "starts", "stats",
        "timeout", "ttl", "twins", "unstaffed", "weight", "workers",
    )
    # fmt: on

    def __init__(self, name: bytes, limit: int) -> None:
        self.name = name
        self.queues = (Queue(), Queue(), Queue())
        self.scheduled = [0, 0, 0]
        # The limit of jobs for each priority; 0 is no limit.
        self.limits = [limit, limit, limit]
        self.running = 0
        self.pending = 0
        # Jobs that wait for others to end, by priority.
        self.awaiting = [0, 0, 0]
        self.workers = 0
        # Since when it has had no worker, in seconds of the monotonic clock; -1 if it
        # never had one.
        self.unstaffed = -1.0
        self.stats = Stats()
        # Peers that were asleep when they were added. A peer that was woken since then
        # is skipped, and is added again when it goes to sleep.
        self.sleepers: OrderedDict[Peer, None] = OrderedDict()
        # Jobs with the unique "-", which stands for the workload itself.
        self.twins: dict[bytes, Job] = {}
        # Whether a worker has ever registered it, or an admin has created it.
        self.offered = False
        # The policy, and what follows from it: the limits of its starts; the jobs that
        # may expire, for each priority, and when to `look` at them; how many of its
        # jobs a worker takes before it is another function's turn. While it is `held`,
        # none of its jobs may start.
        self.policy: Policy | None = None
        # Values of the policy that are needed often: seconds, 0 for none; the priority
        # instead of the normal one; whether a job needs a worker at once, and whether a
        # job that is given up goes elsewhere.
        self.ttl = self.timeout = self.keep = 0.0
        self.priority = NORMAL
        self.exacting = self.mortal = False
        self.starts: StartLimits | None = None
        self.fresh: tuple[ExpiryLine, ExpiryLine, ExpiryLine] | None = None
        self.look = inf
        self.weight = 1
        self.held = False
        # The other servers of the cluster that have workers for it (see Lending), and
        # those that have jobs (see Borrowing). None if there are none.
        self.borrowers: dict[Any, None] | None = None
        self.lenders: dict[Any, Any] | None = None
        # How many jobs of other servers run here; `running` includes them.
        self.borrowed = 0

    def ready(self) -> bool:
        """Whether a worker may have a job now."""
        high, normal, low = self.queues
        if self.held:
            return False
        return bool(normal.count or high.count or low.count)

    def queued(self) -> int:
        """How many jobs are queued."""
        high, normal, low = self.queues
        return high.count + normal.count + low.count

    def waiting(self, priority: int) -> int:
        """How many jobs of this priority are queued, scheduled or wait for others."""
        queue = self.queues[priority]
        return queue.count + self.scheduled[priority] + self.awaiting[priority]

    def waited(self, now: float) -> float | None:
        """How many seconds the oldest queued job has waited; None if none is queued."""
        first = inf
        for queue in self.queues:
            job = queue.first()
            if job is not None and job.since < first:
                first = job.since
        return max(now - first, 0.0) if first < inf else None

    def total(self) -> int:
        """How many jobs there are, the running and the pending ones included."""
        others = sum(self.scheduled) + sum(self.awaiting)
        return self.running + self.pending + self.queued() + others

    def clear(self) -> None:
        """Drop the dead entries of the queues.

        These jobs refer to the function, and the collector of cycles does not track
        jobs (see `making`).
        """
        self.queues = (Queue(), Queue(), Queue())


class Receipt:
    """A place in the order of a peer's answers, kept for one submission.

    It has the answer when `command` is not 0. It has a `request`, the arguments of the
    submission, while this is not carried out.
    """

    __slots__ = ("arguments", "command", "peer", "request")

    def __init__(self, peer: "Peer") -> None:
        self.peer = peer
        self.request: tuple[Any, ...] | None = None
        self.command = 0
        self.arguments: tuple[bytes, ...] = ()


class Peer:
    """One connection: a client, a worker, or both.

    `connection` is for the code that owns the socket. That code sets `blocked` while
    the peer does not accept data.
    """

    # fmt: off
    __slots__ = (
        "__weakref__", "abilities", "address", "answering", "blocked", "client_id",
        "connection", "descriptor", "exceptions", "extensions", "functions", "jobs",
        "late", "outbox", "patience", "raised", "receipts", "refused", "size", "sleep",
        "touched", "traces", "turn", "turns", "unlisted", "waiting",
    )
    # fmt: on

    def __init__(self, address: str = "", descriptor: int = -1) -> None:
        self.address = address
        self.descriptor = descriptor
        self.client_id = b"-"
        self.connection: Any = None
        # The data to be sent, and its size in bytes. `answering` has the rest of a long
        # answer, made in parts; no other request is carried out before its end.
        self.outbox: list[bytes] = []
        self.size = 0
        self.answering: Iterator[bytes] | None = None
        self.touched: list[Peer] | None = None
        self.blocked = False
        self.exceptions = False
        # Whether it asked for the packets from 256 on.
        self.extensions = False
        # Whether it asked for the traces of the jobs that it gets.
        self.traces = False
        self.sleep = AWAKE
        # Timeouts in seconds by function name (0: none). The functions, in the order in
        # which they are searched for jobs.
        self.abilities: dict[bytes, float] = {}
        self.functions: list[Function] = []
        # The function that it has just got a job of, and how many in a row.
        self.turn: Function | None = None
        self.turns = 0
        # Functions that do not have this peer in their `sleepers`.
        self.unlisted: list[Function] = []
        self.jobs: dict[bytes, Job] = {}
        # The handle of the job that this worker has just ended with an exception.
        self.raised = b""
        # Handles of jobs that exceeded their timeout at this worker, and whose results
        # still count, with their functions: a job that is given up may go to another
        # function with its handle. None if there are none.
        self.late: dict[bytes, bytes] | None = None
        # When other workers are woken instead, if this one was woken and does not grab.
        self.patience = 0.0
        # Handles of jobs that ended because a packet of this worker was too large, or
        # None. More packets for them may come, and are no error.
        self.refused: deque[bytes] | None = None
        # Jobs that this client waits for.
        self.waiting: set[Job] = set()
        # Receipts for its submissions in their order, from the first one that waits.
        self.receipts: deque[Receipt] | None = None

    def send(self, command: int, arguments: tuple[bytes, ...]) -> None:
        # As `write` does, which would cost a call for each packet.
        data = encode(command, arguments)
        if not self.outbox and self.touched is not None:
            self.touched.append(self)
        self.outbox.append(data)
        self.size += len(data)

    def repeat(self, times: int, command: int, arguments: tuple[bytes, ...]) -> None:
        """Send the same packet several times; its bytes are kept only once."""
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


# A job whose attempt failed: "queued again", "tried again" or "given up", its handle,
# its function, its worker if it had one, the reason, and the number of failed attempts.
Notice = tuple[str, bytes, bytes, Peer | None, str, int]
