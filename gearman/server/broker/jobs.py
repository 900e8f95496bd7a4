"""The jobs that the broker knows, and the clients that wait for them."""

from typing import TYPE_CHECKING

from .answers import Answers
from .constants import (
    JOB_CREATED,
    NORMAL,
    WORK_CANCEL,
    WORK_EXCEPTION,
    WORK_FAIL,
)
from .making import make_handle, new_job
from .memory import FOLLOW_MEMORY, WAIT_MEMORY, Memory, extra_size, job_size
from .model import Extra, Function, Job, Peer, Record
from .places import Places
from .states import (
    ABANDONED,
    AWAITING,
    DEAD,
    GONE,
    NEW,
    QUEUED,
    RELEASED,
    RUNNING,
    SCHEDULED,
    SHELVED,
)
from .steering.ranges import Ranges
from .steering.records import job_record

if TYPE_CHECKING:
    from ...options import JobOptions

# The largest job number has 63 bits; its digits, and how many they are.
MAX_NUMBER = b"9223372036854775807"
MAX_DIGITS = 19


class Uniques:
    """The jobs that a submission may join, by their unique.

    The jobs of all functions are in one table, since GET_STATUS_UNIQUE names a unique
    and no function. The unique "-" stands for the workload itself; such jobs are in the
    function's `twins`. An empty unique joins nothing, nor does "-" with an empty
    workload.
    """

    __slots__ = ("_first", "_others")

    def __init__(self) -> None:
        self._first: dict[bytes, Job] = {}
        # Jobs of further functions, if several functions use one unique.
        self._others: dict[bytes, dict[Function, Job]] = {}

    def first(self, unique: bytes) -> Job | None:
        """Return the first job of this unique, whatever its function."""
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
        """Make submissions find this job, instead of an earlier one."""
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
        """Make submissions not find this job any more."""
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


class Jobs:
    """Jobs from their submission until they are retired.

    A handle is `handle_prefix`, a colon and a number; the next number is `next_number`.
    `changes` has jobs to be stored, and numbers of jobs to be removed from the store,
    in their order; `records` has what else is to be stored, after these changes.
    `congested` has pairs of a worker and a blocked client that gets the
    worker's updates.
    """

    def __init__(
        self,
        places: Places,
        answers: Answers,
        memory: Memory,
        handle_prefix: bytes,
        next_number: int,
    ) -> None:
        # By number, not by handle: successive numbers are neighbours in a dictionary,
        # while handles would be spread over all of its memory.
        self.known: dict[int, Job] = {}
        self.ranges = Ranges(self.known)
        self.uniques = Uniques()
        self.next_number = next_number
        self.changes: list[Job | int] = []
        self.records: list[Record] = []
        self.congested: list[tuple[Peer, Peer]] = []
        # Whether stored jobs are left to the next run of the server, and not queued.
        self.shelving = False
        self.handle_prefix = handle_prefix
        self._places = places
        self._answers = answers
        self._memory = memory
        # The jobs that wait for the job of a number to end.
        self._followers: dict[int, dict[Job, None]] = {}

    def make(
        self, function: Function, unique: bytes, workload: bytes, size: int
    ) -> Job:
        """Make a job of normal priority that takes `size` bytes of memory.

        Its state is NEW; `place` must follow.
        """
        # Set here, since a constructor with so many arguments would take a large part
        # of the time for a job in the compiled build.
        job = new_job()
        job.number = self.next_number
        job.handle = make_handle(self.handle_prefix, job.number)
        self.next_number += 1
        job.function = function
        job.unique = unique
        job.workload = workload
        job.priority = NORMAL
        job.background = False
        job.when = 0
        job.reducer = None
        job.state = NEW
        job.retries = 0
        job.numerator = job.denominator = 0
        job.timer = 0
        job.worker = None
        job.clients = None
        job.joins = None
        job.stored = False
        job.receipts = None
        job.extra = None
        self._add(job)
        self._memory.jobs += size
        return job

    def _add(self, job: Job) -> None:
        ranges = self.ranges
        self.known[job.number] = job
        if job.number > ranges.last or job.number < ranges.first:
            ranges.add(job.number)

    def make_as(
        self,
        number: int,
        handle: bytes,
        function: Function,
        unique: bytes,
        workload: bytes,
        size: int,
    ) -> Job:
        """Make a job with a given number, and a handle that belongs to the number."""
        following = max(self.next_number, number + 1)
        self.next_number = number
        job = self.make(function, unique, workload, size)
        self.next_number = following
        job.handle = handle
        return job

    def reduce(self, job: Job, reducer: bytes) -> None:
        """Set the reducer of a job."""
        job.reducer = reducer
        self._memory.jobs += len(reducer)

    def take_number(self) -> int:
        """Return a number for something that is stored beside jobs."""
        number = self.next_number
        self.next_number += 1
        return number

    def extend(self, job: Job, options: "JobOptions | None" = None) -> Extra:
        """Return what a job has beyond the standard; make it if there is none."""
        extra = job.extra
        if extra is None:
            extra = job.extra = Extra(options, 0.0)
            self.resize(extra, extra_size(options))
        return extra

    def resize(self, extra: Extra, size: int) -> None:
        """Count the memory of an Extra that takes `size` bytes now."""
        self._memory.jobs += size - extra.size
        extra.size = size

    def store(self, job: Job) -> None:
        """Have the store keep a job as it is now."""
        if job.extra is not None:
            job.extra.record = job_record(job.extra)
        self.changes.append(job)

    def find(self, handle: bytes) -> Job | None:
        """Return the job of this handle."""
        job = self.known.get(self.number_of(handle))
        return job if job is not None and job.handle == handle else None

    def number_of(self, handle: bytes) -> int:
        """Return the number at the end of a handle, -1 if there is none."""
        number = handle.rpartition(b":")[2]
        if not number.isdigit() or len(number) > MAX_DIGITS:
            return -1
        if len(number) == MAX_DIGITS and number > MAX_NUMBER:
            return -1
        return int(number)

    def readmit(self, job: Job) -> None:
        """Make a job known again that was forgotten."""
        self._add(job)
        self._memory.jobs += job_size(job.workload, job.unique)
        self.uniques.add(job)
        if job.reducer is not None:
            self._memory.jobs += len(job.reducer)
        if job.extra is not None:
            self.resize(job.extra, extra_size(job.extra.options))

    def place(self, job: Job, event: int) -> None:
        """Put a job where it waits, or leave it to the next run of the server.

        It waits for the jobs that must end before it, then for its time, then in the
        queue of its function.
        """
        wall, extra = self._places.wall, job.extra
        if self.shelving and job.stored and not job.clients:
            self.forget(job)
            self._places.move(job, event, GONE)
        elif extra is not None and extra.awaits:
            self._places.move(job, event, AWAITING)
        elif job.when > wall or (extra is not None and extra.due > wall):
            self._places.move(job, event, SCHEDULED)
        else:
            self._places.move(job, event, QUEUED)

    def retire(self, job: Job) -> None:
        """Make a job unknown, and detach the clients that wait for it.

        If it is in the store, it is removed from there, unless it is dead.
        """
        if job.stored:
            if job.state == DEAD:
                self.store(job)
            else:
                self.changes.append(job.number)
            self._answers.settle(job, JOB_CREATED, (job.handle,))
        self.forget(job)
        clients = job.clients
        if clients is not None:
            for client in clients:
                client.waiting.discard(job)
            self._memory.peers -= WAIT_MEMORY * len(clients)
            job.clients = job.joins = None
        if job.extra is not None and job.extra.awaits:
            self._stop_following(job)
        if self._followers:
            self._release_followers(job.number)

    # -- jobs that wait for others to end

    def follow(self, job: Job, handles: tuple[bytes, ...]) -> None:
        """Let a job that has options wait for the jobs of these handles to end."""
        assert job.extra is not None  # noqa: S101
        for handle in handles:
            other = self.find(handle)
            if other is not None and other is not job:
                followers = self._followers.setdefault(other.number, {})
                if job not in followers:
                    followers[job] = None
                    job.extra.awaits += 1
                    self._memory.peers += FOLLOW_MEMORY

    def _release_followers(self, number: int) -> None:
        """Let jobs go on that have waited for a job that has ended."""
        for job in self._followers.pop(number, {}):
            assert job.extra is not None  # noqa: S101
            job.extra.awaits -= 1
            self._memory.peers -= FOLLOW_MEMORY
            if not job.extra.awaits and job.state == AWAITING:
                self.place(job, RELEASED)

    def _stop_following(self, job: Job) -> None:
        """Forget that a job waits for others, since it is gone."""
        extra = job.extra
        assert extra is not None  # noqa: S101
        assert extra.options is not None  # noqa: S101
        for handle in extra.options.after or ():
            other = self.find(handle)
            followers = self._followers.get(other.number) if other else None
            if other is not None and followers is not None and job in followers:
                del followers[job]
                self._memory.peers -= FOLLOW_MEMORY
                if not followers:
                    del self._followers[other.number]
        extra.awaits = 0

    def shelve(self, job: Job) -> None:
        """When `shelving`, leave a stored job to the next run if it is not needed now.

        It is needed while it runs, and while a client waits for its result or for
        the answer to its submission.
        """
        idle = job.state in (QUEUED, SCHEDULED, AWAITING)
        awaited = bool(job.clients) or job.receipts is not None
        if self.shelving and job.stored and idle and not awaited:
            self._places.move(job, SHELVED, GONE)
            self.forget(job)

    # -- clients that wait

    def join(self, job: Job, peer: Peer) -> None:
        """Attach a client to a job, and count how often it has joined."""
        if job.clients is None:
            job.clients = []
        elif job in peer.waiting:
            if job.joins is None:
                job.joins = {}
            job.joins[peer] = job.joined(peer) + 1
            return
        job.clients.append(peer)
        peer.waiting.add(job)
        self._memory.peers += WAIT_MEMORY

    def leave(self, peer: Peer) -> None:
        """Detach a client from all jobs that it waits for."""
        for job in peer.waiting:
            self._detach(job, peer)
        peer.waiting.clear()

    def forward(self, job: Job, command: int, arguments: tuple[bytes, ...]) -> None:
        """Send a packet to the clients of a job."""
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

    def forward_exception(self, job: Job, data: bytes) -> None:
        """Send an exception to the clients of a job.

        Clients that did not ask for exceptions get WORK_FAIL, as with gearmand.
        """
        for client in job.clients or ():
            if client.exceptions:
                exception = (job.handle, data)
                client.repeat(job.joined(client), WORK_EXCEPTION, exception)
            else:
                client.repeat(job.joined(client), WORK_FAIL, (job.handle,))

    def _detach(self, job: Job, peer: Peer) -> None:
        assert job.clients is not None  # noqa: S101
        job.clients.remove(peer)
        if job.joins is not None:
            job.joins.pop(peer, None)
        self._memory.peers -= WAIT_MEMORY
        if job.wanted():
            self.shelve(job)
        elif job.state != RUNNING:
            self._places.move(job, ABANDONED, GONE)
            self.retire(job)
        elif job.worker is not None and job.worker.extensions:
            job.worker.send(WORK_CANCEL, (job.handle,))

    def forget(self, job: Job) -> None:
        """Make a job unknown."""
        if self.known.pop(job.number, None) is not None:
            self._memory.jobs -= job_size(job.workload, job.unique)
            self.uniques.remove(job)
            if job.reducer is not None:
                self._memory.jobs -= len(job.reducer)
            if job.extra is not None:
                self.resize(job.extra, 0)
            if not job.stored and job.state != DEAD:
                # Dead entries of queues still refer to the job: free its workload.
                # A stored job keeps its workload, which the store may still need.
                job.workload = b""
