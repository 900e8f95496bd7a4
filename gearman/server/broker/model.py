"""What the broker knows: jobs, their functions and queues, and peers.

They stand in one file because each knows the others, as C types in the compiled build.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any

from ...framing import encode
from .constants import AWAKE, ERROR, HIGH, LOW, NORMAL, SWEEP
from .states import QUEUED

# So many bytes of workloads may be left in entries that are gone.
SWEEP_BYTES = 16 * 1024 * 1024


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
        """Append a job, whose state says that it is queued."""
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
        """Take a job out of the middle, whose state says that it is elsewhere."""
        self.count -= 1
        self._gone += len(job.workload)
        crowded = len(self._entries) > 2 * self.count + SWEEP
        if crowded or not self.count or self._gone > SWEEP_BYTES:
            self._entries = deque([j for j in self._entries if j.state == QUEUED])
            self._gone = 0


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
