"""The jobs that the broker knows, and the clients that wait for them."""

from operator import attrgetter
from typing import TYPE_CHECKING

from ..cluster.home import (
    ALL_SHARDS,
    NO_SHARDS,
    SHARD_BITS,
    SHARDS,
    first_spare,
    home_of,
)
from .answers import Answers
from .constants import JOB_CREATED, WORK_CANCEL, WORK_EXCEPTION, WORK_FAIL
from .making import make_handle, new_job, number_of
from .memory import (
    FOLLOW_MEMORY,
    FOLLOWED_MEMORY,
    WAIT_MEMORY,
    Memory,
    extra_size,
    job_size,
)
from .model import Extra, Function, Job, Peer, Record, is_wanted, joins_of
from .places import Places
from .states import (
    ABANDONED,
    AWAITING,
    AWAY,
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
from .uniques import Uniques

if TYPE_CHECKING:
    from ...options import JobOptions


class Jobs:
    """Jobs from their submission until they are retired.

    A handle is `handle_prefix`, a colon and a number, which is `next_number` or, if
    jobs are `sharded`, the next one of a shard of this server, as the table `steps`
    says. A server that is `homeless` has no shard, and uses `spare_number`. Records of
    settings are stored by the server that `keeps_settings` only. `changes` has jobs to
    be stored, and numbers of jobs to be removed from the store, in their order;
    `records` has what else is to be stored, after these changes. `congested` has pairs
    of a worker and a blocked client that gets the worker's updates.
    """

    def __init__(
        self,
        places: Places,
        answers: Answers,
        memory: Memory,
        handle_prefix: bytes,
        next_number: int,
    ) -> None:
        # By number: handles would be spread over all of the memory of a dictionary.
        self.known: dict[int, Job] = {}
        self.ranges = Ranges(self.known)
        self.uniques = Uniques()
        self.next_number = next_number
        self.changes: list[Job | int] = []
        self.records: list[Record] = []
        self.congested: list[tuple[Peer, Peer]] = []
        self.sharded = self.homeless = False
        self.spare_number = first_spare(0)
        self.keeps_settings = True
        # Whether stored jobs of the shards that are `leaving` are left to the next run
        # of the server, or to another server, and not queued.
        self.shelving = False
        self.leaving = NO_SHARDS
        self.handle_prefix = handle_prefix
        self._places = places
        self._answers = answers
        self._memory = memory
        # For each shard, how many later the next one of this server comes.
        self.steps = bytes(SHARDS)
        # The jobs that wait for the job of a number to end.
        self._followers: dict[int, dict[Job, None]] = {}

    def make(
        self,
        function: Function,
        unique: bytes,
        workload: bytes,
        size: int,
        priority: int,
        background: bool,
        when: int,
        number: int = -1,
    ) -> Job:
        """Make a job that takes `size` bytes of memory.

        Its state is NEW; `place` must follow. Its number is the next one, or as given.
        """
        # A constructor with so many arguments would be slow in the compiled build.
        job = new_job()
        if number < 0:
            if self.homeless:
                number = self.spare_number
                self.spare_number = number + 1
            else:
                number = self.next_number
                if self.sharded:
                    number = self.number_for(unique, workload)
                self.next_number = number + 1
        job.number = number
        job.handle = make_handle(self.handle_prefix, number)
        job.function = function
        job.unique = unique
        job.workload = workload
        job.priority = priority
        job.background = background
        job.when = when
        job.reducer = None
        job.state = NEW
        job.retries = 0
        job.progress = (0, 0)
        job.timer = 0
        job.since = 0.0
        job.worker = None
        job.clients = None
        job.joins = None
        job.stored = False
        job.receipts = None
        job.extra = None
        self.known[job.number] = job
        ranges = self.ranges
        if job.number > ranges.last or job.number < ranges.first:
            ranges.add(job.number)
        self._memory.jobs += size
        return job

    def make_as(
        self,
        number: int,
        handle: bytes,
        function: Function,
        unique: bytes,
        workload: bytes,
        size: int,
        priority: int,
    ) -> Job:
        """Make a background job with a given number, and a handle that ends with it."""
        job = self.make(function, unique, workload, size, priority, True, 0, number)
        self.next_number = max(self.next_number, number + 1)
        job.handle = handle
        return job

    def make_again(self, job: Job, function: Function, workload: bytes) -> Job:
        """Make a background job with the number and handle of one that is gone.

        It must be another object, since a dead entry of a queue may have the old one.
        """
        number, handle, unique = job.number, job.handle, job.unique
        size = job_size(workload, unique)
        new = self.make_as(
            number, handle, function, unique, workload, size, job.priority
        )
        new.stored = job.stored
        if job.reducer is not None:
            self.reduce(new, job.reducer)
        self.uniques.add(new)
        return new

    def reduce(self, job: Job, reducer: bytes) -> None:
        """Set the reducer of a job."""
        job.reducer = reducer
        self._memory.jobs += len(reducer)

    def take_number(self) -> int:
        """Return a number for something that is stored beside jobs, in shard 0."""
        number = self.next_number
        if self.sharded:
            number += -number & SHARD_BITS
        self.next_number = number + 1
        return number

    def number_for(self, unique: bytes, workload: bytes) -> int:
        """Return the number that a job gets if it is the next one.

        With a unique it belongs to the home of that, if this server owns it.
        """
        number = self.next_number
        if unique and self.sharded:
            home = home_of(unique, workload)
            if home >= 0 and not self.steps[home]:
                return number + (home - number & SHARD_BITS)
        return number + self.steps[number & SHARD_BITS]

    def extend(self, job: Job, options: "JobOptions | None" = None) -> Extra:
        """Return what a job has beyond the standard; make it if there is none."""
        extra = job.extra
        if extra is None:
            extra = job.extra = Extra(options, 0.0)
            self._places.steered = True
            self.resize(extra, extra_size(options))
        return extra

    def resize(self, extra: Extra, size: int) -> None:
        """Count the memory of an Extra that takes `size` bytes now."""
        self._memory.jobs += size - extra.size
        extra.size = size

    def store(self, job: Job) -> None:
        """Have the store keep a job as it is now."""
        extra = job.extra
        if extra is not None:
            before, extra.record = len(extra.record), job_record(extra)
            self.resize(extra, extra.size + len(extra.record) - before)
        self.changes.append(job)

    def find(self, handle: bytes) -> Job | None:
        """Return the job of this handle."""
        job = self.known.get(number_of(handle))
        return job if job is not None and job.handle == handle else None

    def place(self, job: Job, event: int) -> None:
        """Put a job where it waits, or leave it to the next run of the server.

        It waits for the jobs that must end before it, then for its time, then in the
        queue of its function.
        """
        wall, extra = self._places.wall, job.extra
        if self.shelving and job.stored and not job.clients and self._may_leave(job):
            self.forget(job)
            self._places.move(job, SHELVED, GONE)
            for other in self._before(job):
                self.shelve(other)
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
            # Jobs can only wait for earlier ones, so they never wait for each other.
            if other is not None and other.number < job.number:
                followers = self._followers.get(other.number)
                if followers is None:
                    followers = self._followers[other.number] = {}
                    self._memory.peers += FOLLOWED_MEMORY
                if job not in followers:
                    followers[job] = None
                    job.extra.awaits += 1
                    self._memory.peers += FOLLOW_MEMORY

    def _release_followers(self, number: int) -> None:
        """Let jobs go on that have waited for a job that has ended."""
        followers = self._followers.pop(number, None)
        if followers is None:
            return
        self._memory.peers -= FOLLOWED_MEMORY
        for job in followers:
            assert job.extra is not None  # noqa: S101
            job.extra.awaits -= 1
            self._memory.peers -= FOLLOW_MEMORY
            if not job.extra.awaits and job.state == AWAITING:
                self.place(job, RELEASED)

    def _stop_following(self, job: Job) -> None:
        """Forget that a job waits for others, since it is gone."""
        assert job.extra is not None  # noqa: S101
        for other in self._before(job):
            followers = self._followers.get(other.number, {})
            if job in followers:
                del followers[job]
                self._memory.peers -= FOLLOW_MEMORY
                if not followers:
                    del self._followers[other.number]
                    self._memory.peers -= FOLLOWED_MEMORY
                self.shelve(other)
        job.extra.awaits = 0

    # -- jobs that are left to the next run of the server

    def shelve(self, job: Job) -> None:
        """When `shelving`, leave a stored job to the next run if it is not needed now.

        It is needed while it runs, and while a client waits for its result, for the
        answer to its submission, or for a job that waits for its end.
        """
        waiting = [job] if self.shelving else []
        while waiting:
            job = waiting.pop()
            idle = job.state in (QUEUED, SCHEDULED, AWAITING)
            awaited = bool(job.clients) or job.receipts is not None
            if job.stored and idle and not awaited and self._may_leave(job):
                self._places.move(job, SHELVED, GONE)
                self.forget(job)
                waiting += self._before(job)

    def _may_leave(self, job: Job) -> bool:
        """Whether others can do without a job, and its shard is one that leaves."""
        if self.leaving is ALL_SHARDS:
            return not self._blocks(job)
        # Another server does not know the jobs that stay here.
        tied = bool(job.extra and job.extra.awaits) or job.number in self._followers
        return not tied and (job.number & SHARD_BITS) in self.leaving

    def _blocks(self, job: Job) -> bool:
        """Whether a job that is needed now waits for the end of this job."""
        seen = {job}
        waiting = [job]
        while waiting:
            for follower in self._followers.get(waiting.pop().number, ()):
                awaited = bool(follower.clients) or follower.receipts is not None
                if awaited or not follower.stored:
                    return True
                if follower not in seen:
                    seen.add(follower)
                    waiting.append(follower)
        return False

    def _before(self, job: Job) -> list[Job]:
        """Return the jobs that a job waits for."""
        extra = job.extra
        if extra is None or not extra.awaits:
            return []
        assert extra.options is not None  # noqa: S101
        return list(filter(None, map(self.find, extra.options.after or ())))

    # -- clients that wait

    def join(self, job: Job, peer: Peer) -> None:
        """Attach a client to a job, and count how often it has joined."""
        if job.clients is None:
            job.clients = []
        elif job in peer.waiting:
            if job.joins is None:
                job.joins = {}
            job.joins[peer] = joins_of(job, peer) + 1
            return
        job.clients.append(peer)
        peer.waiting.add(job)
        self._memory.peers += WAIT_MEMORY

    def leave(self, peer: Peer) -> None:
        """Detach a client from all jobs that it waits for, in their order."""
        for job in sorted(peer.waiting, key=attrgetter("number")):
            self.detach(job, peer)
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
                client.repeat(joins_of(job, client), command, arguments)
            if client.blocked and job.worker is not None:
                self.congested.append((job.worker, client))

    def forward_exception(self, job: Job, data: bytes) -> None:
        """Send an exception to the clients of a job.

        Clients that did not ask for exceptions get WORK_FAIL, as with gearmand.
        """
        for client in job.clients or ():
            if client.exceptions:
                exception = (job.handle, data)
                client.repeat(joins_of(job, client), WORK_EXCEPTION, exception)
            else:
                client.repeat(joins_of(job, client), WORK_FAIL, (job.handle,))

    def detach(self, job: Job, peer: Peer) -> None:
        """Detach a client from a job; it must forget the job itself."""
        assert job.clients is not None  # noqa: S101
        job.clients.remove(peer)
        if job.joins is not None:
            job.joins.pop(peer, None)
        self._memory.peers -= WAIT_MEMORY
        if is_wanted(job):
            self.shelve(job)
        elif job.state == AWAY:
            assert self._places.links is not None  # noqa: S101
            self._places.links.abandoned(job)
        elif job.state != RUNNING:
            job.function.stats.abandoned += 1
            self._places.move(job, ABANDONED, GONE)
            self.retire(job)
        elif job.worker is peer:
            # It has disconnected, so the job is about to be lost.
            pass
        elif job.worker is not None and job.worker.extensions:
            job.worker.send(WORK_CANCEL, (job.handle,))
            # Its worker may end it at any moment, so nobody should join it any more.
            self.uniques.remove(job)

    def forget(self, job: Job) -> None:
        """Make a job unknown."""
        del self.known[job.number]
        self._memory.jobs -= job_size(job.workload, job.unique)
        if job.unique:
            self.uniques.remove(job)
        if job.reducer is not None:
            self._memory.jobs -= len(job.reducer)
        if job.extra is not None:
            self.resize(job.extra, 0)
            if job.extra.lender is not None and self._places.links is not None:
                self._places.links.returned(job)
        if not job.stored and job.state != DEAD:
            # Dead entries of queues still refer to the job: free its workload.
            # A stored job keeps its workload, which the store may still need.
            job.workload = b""
