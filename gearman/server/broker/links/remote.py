"""Another server of the cluster, and the peers that stand for it in this broker.

A link is one connection. Over it each of the two servers is a client of the other one
for the jobs that it passes on, and a worker for those that it borrows. So the other
server is three peers here. They remain while the link is broken.
"""

from collections import deque
from typing import Protocol

from ....commands import REQUEST
from ....framing import encode
from ..constants import (
    ERROR,
    JOB_CREATED,
    LINK_CREATED,
    LINK_REFUSED,
    LINK_STARTED,
    WORK_CANCEL,
    WORK_COMPLETE,
)
from ..jobs import Jobs
from ..memory import Memory
from ..model import Job, Peer
from ..states import RUNNING

# If the results of the jobs of a server that is gone take more bytes, the next ones are
# dropped.
MOST_KEPT = 64 * 1024 * 1024
# Measured bytes that a packet takes that is kept, besides its arguments.
KEPT_MEMORY = 320


def size_of(arguments: tuple[bytes, ...]) -> int:
    """Return the bytes of the arguments of a packet."""
    size = 0
    for argument in arguments:
        size += len(argument)
    return size


class Pings(Protocol):
    """How far a link has come: the numbers of the last ping, and of the last one that
    was answered. All that was sent before that has arrived.
    """

    pinged: int
    answered: int


class Remote:
    """Another server. `peer` is the connection of the link, None while there is none.

    `client` waits here for jobs that the other server has passed on, `worker` runs jobs
    there that belong here, and `owner` gets the results of jobs that were borrowed from
    there. It was lost at the time `since`, in seconds of the monotonic clock.

    `tokens` has the submissions that were passed on and are not answered, and `away`
    jobs that wait for their end, by their handles there. `told` has the functions of
    which the other server knows that there are jobs here. `asked` has, by function, the
    sleeping workers for which jobs were asked for there; None if none sleeps.
    """

    def __init__(self, server: int, jobs: Jobs, memory: Memory) -> None:
        self.id = server
        self.peer: Peer | None = None
        self.pings: Pings | None = None
        self.since = 0.0
        self.client = LinkClient(self, jobs)
        self.worker = LinkWorker(self)
        self.owner = LinkOwner(self, memory)
        self.tokens: dict[int, Job] = {}
        self.away: dict[bytes, Job] = {}
        self.told: dict[bytes, None] = {}
        self.asked: dict[bytes, deque[Peer | None]] = {}

    def connect(self, peer: Peer | None, pings: Pings | None = None) -> None:
        """Use another connection from now on, or none."""
        self.peer = peer
        self.pings = pings
        for each in (self.client, self.worker, self.owner):
            each.connection = None if peer is None else peer.connection
            each.address = self.client.address if peer is None else peer.address
            each.blocked = False

    def request(self, command: int, arguments: tuple[bytes, ...]) -> None:
        """Send a request of this server; there must be a link."""
        assert self.peer is not None  # noqa: S101
        self.peer.write(encode(command, arguments, REQUEST))

    def respond(self, command: int, arguments: tuple[bytes, ...]) -> None:
        """Send what answers the other server's requests, if there is a link."""
        if self.peer is not None:
            self.peer.send(command, arguments)


class LinkClient(Peer):
    """The other server as a client: of each job once, however many wait there.

    `jobs` are those of this server.
    """

    def __init__(self, remote: Remote, jobs: Jobs) -> None:
        super().__init__()
        self.remote = remote
        self._jobs = jobs
        self.exceptions = True
        # Those of its foreground submissions that are not answered.
        self.tokens: deque[bytes] = deque()

    def send(self, command: int, arguments: tuple[bytes, ...]) -> None:
        remote = self.remote
        if command == JOB_CREATED:
            remote.respond(LINK_CREATED, (self.tokens.popleft(), *arguments))
            self._tell_if_started(arguments[0])
        elif command == ERROR:
            remote.respond(LINK_REFUSED, (self.tokens.popleft(), *arguments))
        else:
            remote.respond(command, arguments)
        self.blocked = remote.peer is not None and remote.peer.blocked

    def repeat(self, times: int, command: int, arguments: tuple[bytes, ...]) -> None:
        self.send(command, arguments)

    def _tell_if_started(self, handle: bytes) -> None:
        """Tell that a job was started before the other server has joined it."""
        job = self._jobs.find(handle)
        if job is not None and job.state == RUNNING:
            self.tell_started(handle)

    def tell_started(self, handle: bytes) -> None:
        self.remote.respond(LINK_STARTED, (handle,))


class Ticket(Peer):
    """One background submission of another server, until it is answered."""

    def __init__(self, remote: Remote, token: bytes) -> None:
        super().__init__(remote.client.address)
        self.remote = remote
        self.connection = remote.client.connection
        self.token = token

    def send(self, command: int, arguments: tuple[bytes, ...]) -> None:
        answer = LINK_CREATED if command == JOB_CREATED else LINK_REFUSED
        self.remote.respond(answer, (self.token, *arguments))


class LinkWorker(Peer):
    """The other server as a worker."""

    def __init__(self, remote: Remote) -> None:
        super().__init__()
        self.remote = remote
        self.extensions = True

    def send(self, command: int, arguments: tuple[bytes, ...]) -> None:
        # Errors are for workers that can be asked why.
        if command == WORK_CANCEL:
            self.remote.respond(command, arguments)


class LinkOwner(Peer):
    """The other server as what it is for borrowed jobs: it wants their results.

    While there is no link, what it should get is `kept`, by the handle of the job;
    `kept_size` is its memory in bytes, which counts as that of jobs. What the jobs have
    sent that are `spoiled` was too much. Results are also kept for the case that the
    link breaks while they are under way: until a ping is answered that was sent later.
    """

    def __init__(self, remote: Remote, memory: Memory) -> None:
        super().__init__()
        self.remote = remote
        self._memory = memory
        self.exceptions = True
        self.kept: dict[bytes, list[tuple[int, tuple[bytes, ...]]]] = {}
        self.kept_size = 0
        self.spoiled: dict[bytes, None] = {}
        # Each with the number of the last ping before it; and the sum of their bytes.
        self._under_way: deque[tuple[int, tuple[bytes, ...]]] = deque()
        self._under_way_size = 0

    def send(self, command: int, arguments: tuple[bytes, ...]) -> None:
        remote = self.remote
        if remote.peer is None:
            self.keep(command, arguments)
            return
        remote.request(command, arguments)
        self.blocked = remote.peer.blocked
        if command == WORK_COMPLETE and remote.pings is not None:
            self._note(remote.pings, arguments)

    def repeat(self, times: int, command: int, arguments: tuple[bytes, ...]) -> None:
        self.send(command, arguments)

    def _note(self, pings: Pings, result: tuple[bytes, ...]) -> None:
        """Note that a result is under way, and forget those that have arrived."""
        under_way = self._under_way
        under_way.append((pings.pinged, result))
        self._under_way_size += size_of(result)
        while under_way[0][0] < pings.answered or self._under_way_size > MOST_KEPT:
            self._under_way_size -= size_of(under_way.popleft()[1])
            if not under_way:
                break

    def unlink(self) -> None:
        """Keep the results that may not have arrived, since the link is broken.

        Those that have are not expected any more, and change nothing.
        """
        for _, result in self._under_way:
            self.keep(WORK_COMPLETE, result)
        self._under_way.clear()
        self._under_way_size = 0

    def keep(self, command: int, arguments: tuple[bytes, ...]) -> None:
        """Keep a packet for the link to come, if there is room.

        If there is none, nothing of that job is kept.
        """
        handle = arguments[0]
        size = KEPT_MEMORY + size_of(arguments)
        if handle in self.spoiled or self.kept_size + size > MOST_KEPT:
            self.take(handle)
            self.spoiled[handle] = None
        else:
            self._count(size)
            self.kept.setdefault(handle, []).append((command, arguments))

    def take(self, handle: bytes) -> list[tuple[int, tuple[bytes, ...]]]:
        """Remove and return what was kept for a job."""
        packets = self.kept.pop(handle, [])
        for _, arguments in packets:
            self._count(-KEPT_MEMORY - size_of(arguments))
        return packets

    def forget(self) -> None:
        """Forget all that was kept."""
        self.spoiled.clear()
        self.kept.clear()
        self._count(-self.kept_size)

    def _count(self, size: int) -> None:
        self.kept_size += size
        self._memory.jobs += size
