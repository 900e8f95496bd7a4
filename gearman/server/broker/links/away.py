"""Jobs that this server has passed on to the server where their unique belongs.

So clients of any server that use the same unique get one job. A background job is
forgotten here when the other server has created it. A foreground job stays here, as
AWAY, until its end: its clients wait here, and more may join it here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ....options import format_options
from ..answers import Answers
from ..constants import (
    ERROR,
    JOB_CREATED,
    LINK_LEAVE,
    LINK_SUBMIT,
    WORK_EXCEPTION,
    WORK_FAIL,
)
from ..jobs import Jobs
from ..limits import FULL, Hits, Limits
from ..memory import Memory, job_size
from ..model import Function, Job, Peer, Receipt, joins_of
from ..places import Places
from ..states import (
    ABANDONED,
    AWAY,
    CAME_BACK,
    ENDED_AWAY,
    GONE,
    PENDING,
    SENT_HOME,
)
from ..steering.new_jobs import extend
from ..stored import StoredJobs
from .remote import Remote

if TYPE_CHECKING:
    from ....options import JobOptions


class Stay:
    """Where a job is: with which server, and which handle it has there.

    `handle` is b"" until it was created there. `started` says that a worker has got it.
    """

    __slots__ = ("handle", "remote", "started", "token")

    def __init__(self, remote: Remote, token: int) -> None:
        self.remote = remote
        self.token = token
        self.handle = b""
        self.started = False


class Away:
    """Passes jobs on, and has their clients told what becomes of them.

    `home` returns the server to which a job of a unique and a workload is passed on,
    None if it is for this server. `outage` returns why no job can be stored now, b"" if
    one can.
    """

    def __init__(
        self,
        places: Places,
        jobs: Jobs,
        answers: Answers,
        stored: StoredJobs,
        limits: Limits,
        hits: Hits,
        memory: Memory,
        persistent: bool,
        home: Callable[[bytes, bytes], Remote | None],
        outage: Callable[[], bytes],
    ) -> None:
        self._home = home
        self._outage = outage
        self._places = places
        self._jobs = jobs
        self._answers = answers
        self._stored = stored
        self._limits = limits
        self._hits = hits
        self._memory = memory
        self._persistent = persistent
        self._stays: dict[Job, Stay] = {}
        self._last = 0
        # Jobs that go on here with a handle of another server.
        self._back: dict[bytes, Job] = {}

    def pass_on(
        self,
        remote: Remote,
        peer: Peer,
        function: Function,
        unique: bytes,
        workload: bytes,
        priority: int,
        background: bool,
        when: int,
        reducer: bytes | None,
        receipt: Receipt | None,
        options: "JobOptions | None",
    ) -> None:
        """Pass a submission on, or have it join a job that was passed on."""
        answers, jobs = self._answers, self._jobs
        job = None
        if not background:
            job = jobs.uniques.find(function, unique, workload)
        if job is None:
            size = job_size(workload, unique)
            limit = self._limits.exceeded_by_job(
                function, priority, len(jobs.known), self._memory.jobs + size
            )
            if limit is not None:
                self._hits.add(limit)
                error = (b"QUEUE_ERROR", FULL[limit])
                return answers.answer(receipt, peer, ERROR, error)
            job = jobs.make(
                function, unique, workload, size, priority, background, when
            )
            if reducer is not None:
                jobs.reduce(job, reducer)
            if options is not None:
                jobs.extend(job, options)
            job.receipts = []
            self._places.move(job, SENT_HOME, AWAY)
            if not background:
                jobs.uniques.add(job)
            self._submit(job, remote)
        else:
            function.stats.joined += 1
        if not background:
            jobs.join(job, peer)
        if job.receipts is not None:
            return answers.owe(receipt, peer, job)
        return answers.answer(receipt, peer, JOB_CREATED, (job.handle,))

    def _submit(self, job: Job, remote: Remote) -> None:
        """Submit a job to another server."""
        self._last += 1
        token = self._last
        self._stays[job] = Stay(remote, token)
        remote.tokens[token] = job
        fields = b"%d %d %d" % (job.priority, job.background, job.when)
        options = b""
        if job.extra is not None and job.extra.options is not None:
            options = format_options(job.extra.options)
        remote.request(
            LINK_SUBMIT,
            (
                *(b"%d" % token, job.function.name, job.unique, fields),
                *(job.reducer or b"", options, job.workload),
            ),
        )

    # -- answers of the other server

    def created(self, remote: Remote, token: int, handle: bytes) -> None:
        """Note that a job was created there."""
        job = remote.tokens.pop(token, None)
        if job is None:
            return
        other = remote.away.get(handle)
        if job.background:
            self._answers.settle(job, JOB_CREATED, (handle,))
            self._end(job, ENDED_AWAY)
        elif other is not None:
            self._merge(job, other)
        else:
            self._stays[job].handle = handle
            remote.away[handle] = job
            if job.receipts is not None:
                job.handle = handle
                self._answers.settle(job, JOB_CREATED, (handle,))
            if not job.clients:
                self.abandoned(job)
        self._answers.pay()

    def _merge(self, job: Job, other: Job) -> None:
        """Have the clients of a job wait for another object that is the same job."""
        self._answers.settle(job, JOB_CREATED, (other.handle,))
        for client in list(job.clients or ()):
            for _ in range(joins_of(job, client)):
                self._jobs.join(other, client)
        self._end(job, ENDED_AWAY)

    def refused(self, remote: Remote, token: int, code: bytes, text: bytes) -> None:
        """Note that a job was refused there."""
        job = remote.tokens.pop(token, None)
        if job is None:
            return
        if job.receipts is None:
            # It was submitted again, so its clients believe that it exists.
            self._jobs.forward(job, WORK_FAIL, (job.handle,))
        else:
            self._answers.settle(job, ERROR, (code, text))
        self._end(job, ENDED_AWAY)
        self._answers.pay()

    def expect(
        self, remote: Remote, peer: Peer, function: Function, handle: bytes
    ) -> None:
        """Have a client wait for a job whose end the other server will tell."""
        job = remote.away.get(handle)
        if job is None:
            size = job_size(b"", b"")
            job = self._jobs.make(function, b"", b"", size, 0, False, 0)
            job.handle = handle
            self._places.move(job, SENT_HOME, AWAY)
            stay = self._stays[job] = Stay(remote, 0)
            stay.handle = handle
            # It can't be submitted again: its workload is not known here.
            stay.started = True
            remote.away[handle] = job
        self._jobs.join(job, peer)

    def started(self, remote: Remote, handle: bytes) -> None:
        job = remote.away.get(handle)
        if job is not None:
            self._stays[job].started = True

    def update(
        self, remote: Remote, command: int, arguments: tuple[bytes, ...]
    ) -> None:
        """Pass data, a warning or a status on to the clients of a job."""
        job = remote.away.get(arguments[0])
        if job is None:
            return
        self._jobs.forward(job, command, (job.handle, *arguments[1:]))
        peer = remote.peer
        for client in job.clients or ():
            if client.blocked and peer is not None:
                self._jobs.congested.append((peer, client))

    def ended(
        self, remote: Remote, command: int, handle: bytes, data: tuple[bytes, ...]
    ) -> None:
        """Tell the clients of a job its end."""
        job = remote.away.get(handle)
        if job is None:
            return
        if command == WORK_EXCEPTION:
            self._jobs.forward_exception(job, data[0])
        else:
            self._jobs.forward(job, command, (job.handle, *data))
        self._end(job, ENDED_AWAY)
        self._answers.pay()

    def _end(self, job: Job, event: int) -> None:
        """Forget a job that has ended, or that nobody waits for."""
        self._forget(job)
        self._retire(job, event)

    def _retire(self, job: Job, event: int) -> None:
        self._places.move(job, event, GONE)
        self._jobs.retire(job)

    def _forget(self, job: Job) -> None:
        stay = self._stays.pop(job)
        stay.remote.tokens.pop(stay.token, None)
        if stay.handle:
            stay.remote.away.pop(stay.handle, None)

    # -- clients and links that are lost

    def abandoned(self, job: Job) -> None:
        """Tell the other server that nobody waits for a job any more.

        It has no handle there until it is created; then this is called again.
        """
        stay = self._stays[job]
        if stay.handle:
            stay.remote.request(LINK_LEAVE, (stay.handle,))
            job.function.stats.abandoned += 1
            self._end(job, ABANDONED)

    def lost(
        self, remote: Remote, borrowed: dict[bytes, Job], dropped: dict[bytes, None]
    ) -> None:
        """Submit again the jobs of a broken link, if they may not have been started.

        A job that is `borrowed` is with a worker here, or soon will be. One that was
        `dropped` had come here, too, but no worker has got it.
        """
        jobs = [*remote.tokens.values(), *remote.away.values()]
        for job in jobs:
            stay = self._stays[job]
            self._forget(job)
            # Without a token, its workload is not known here.
            waited = stay.handle in dropped and stay.token > 0
            if not job.background and not job.clients:
                # Those who would be told have left, too.
                self._answers.settle(job, JOB_CREATED, (job.handle,))
                self._retire(job, ABANDONED)
            elif (stay.started or stay.handle in borrowed) and not waited:
                self._jobs.forward(job, WORK_FAIL, (job.handle,))
                self._retire(job, ENDED_AWAY)
            else:
                other = self._home(job.unique, job.workload)
                if other is not None:
                    self._submit(job, other)
                else:
                    self._come_back(job)
        self._answers.pay()

    def abandon(self) -> None:
        """Forget all jobs."""
        self._stays.clear()
        self._back.clear()

    def came_back(self, handle: bytes) -> bool:
        """Whether a job goes on here that has this handle of another server."""
        return self.back(handle) is not None

    def back(self, handle: bytes) -> Job | None:
        """Return the job here that has this handle of another server, if any."""
        job = self._back.get(handle)
        return None if job is None or job.state == GONE else job

    def _come_back(self, job: Job) -> None:
        """Do a job here that can't be passed on."""
        jobs, extra = self._jobs, job.extra
        stored = job.background and self._persistent
        outage = self._outage() if stored else b""
        if outage:
            self._answers.settle(job, ERROR, (b"QUEUE_ERROR", outage))
            return self._retire(job, ENDED_AWAY)
        options = None if extra is None else extra.options
        if jobs.find(job.handle) is not job:
            alive = [each for each in self._back.values() if each.state != GONE]
            self._back = {each.handle: each for each in alive}
            self._back[job.handle] = job
        job.function.stats.submitted += 1
        if job.function.policy is not None or options is not None:
            extend(job, options, jobs, self._places.wall, stored)
        if job.background:
            self._stored.let_join(job)
        if stored:
            receipts = job.receipts
            self._places.move(job, CAME_BACK, PENDING)
            self._stored.add(job)
            job.receipts = receipts
        else:
            self._answers.settle(job, JOB_CREATED, (job.handle,))
            jobs.place(job, CAME_BACK)
        return None
