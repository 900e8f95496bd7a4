"""What workers send: what they can do, that they sleep, results of their jobs."""

import re
from collections import deque

from ...commands import MAX_FUNCTION
from .answers import Answers
from .choice import Choice
from .constants import (
    AWAKE,
    JOB_ASSIGN,
    JOB_ASSIGN_ALL,
    JOB_ASSIGN_UNIQ,
    NO_JOB,
    SLEEPING,
    WOKEN,
    WORK_COMPLETE,
    WORK_DATA,
    WORK_FAIL,
    WORK_STATUS,
    WORK_WARNING,
)
from .functions import Functions
from .jobs import Jobs
from .limits import FULL
from .memory import ABILITY_MEMORY
from .model import Function, Job, Notice, Peer
from .places import Places
from .sleepers import Sleepers
from .states import ENDED, GONE, LOST

# A shorter timeout of a function is taken as this one, as gearmand does (seconds).
MIN_TIMEOUT = 1.0

# Of how many jobs that it took too long for a worker may still bring the result.
MAX_LATE = 1000

# How many jobs a worker may have been refused whose further packets are expected.
MAX_REFUSED = 100

# Where the digits of a number that is sent as text must have ended (bytes).
MAX_NUMBER_TEXT = 100

_DIGITS = re.compile(rb"\s*\+?(\d{0,20})")


class Workers:
    """The verbs of workers.

    `retries` is how many workers may be lost with a job before it fails, at least one
    (-1: any number). With `timeout_fails` a job that exceeds its timeout fails;
    otherwise it counts as a job whose worker was lost. In `notices` is what became of
    jobs that did not end as they should.
    """

    def __init__(
        self,
        functions: Functions,
        choice: Choice,
        sleepers: Sleepers,
        places: Places,
        answers: Answers,
        jobs: Jobs,
        retries: int,
        timeout_fails: bool,
    ) -> None:
        self.retries = retries
        self.timeout_fails = timeout_fails
        self.notices: list[Notice] = []
        self._functions = functions
        self._choice = choice
        self._sleepers = sleepers
        self._places = places
        self._answers = answers
        self._jobs = jobs

    # -- what they can do

    def can_do(self, peer: Peer, name: bytes, timeout: float = 0.0) -> None:
        """Register a function, with the seconds that a job of it may take (0: any)."""
        if len(name) > MAX_FUNCTION:
            return peer.refuse(b"ARGUMENT_TOO_LARGE", b"Function name too large")
        if timeout > 0:
            timeout = max(timeout, MIN_TIMEOUT)
        if name in peer.abilities:
            peer.abilities[name] = timeout
            return None
        functions = self._functions
        if 0 < functions.limits.functions_per_worker <= len(peer.functions):
            limit = "max-functions-per-worker"
            functions.hits.add(limit)
            return peer.refuse(b"QUEUE_ERROR", FULL[limit])
        if not functions.admits(name, True):
            return peer.refuse(b"QUEUE_ERROR", FULL["max-functions"])
        function = functions.of(name)
        # The name is the function's own, which all of its workers share.
        peer.abilities[function.name] = timeout
        peer.functions.insert(0, function)
        if not function.workers:
            functions.staffed += 1
        function.workers += 1
        functions.memory.peers += ABILITY_MEMORY
        function.offered = True
        if peer.sleep == SLEEPING:
            function.sleepers[peer] = None
            self._sleepers.pass_on([function])
        else:
            peer.unlisted.append(function)
        return None

    def cant_do(self, peer: Peer, name: bytes) -> None:
        """Take a function back. A job of it that is running may still be finished."""
        if name in peer.abilities:
            del peer.abilities[name]
            function = self._functions.known[name]
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

    def _unregister(self, peer: Peer, function: Function) -> None:
        function.workers -= 1
        self._functions.memory.peers -= ABILITY_MEMORY
        if not function.workers:
            self._functions.staffed -= 1
        function.sleepers.pop(peer, None)
        if peer.sleep == WOKEN:
            self._sleepers.pass_on([function])

    # -- what they ask for

    def pre_sleep(self, peer: Peer) -> None:
        """Have a worker told when there is a job for it, at once if there is one."""
        if peer.sleep == SLEEPING and not self._sleepers.wakeup:
            # There is none: all who sleep would have been woken.
            return
        if self._choice.has_any(peer):
            self._sleepers.rouse(peer)
        else:
            self._sleepers.add(peer)

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

    def _take(self, peer: Peer) -> Job | None:
        """Give the peer its next job, if there is one."""
        woken = peer.sleep == WOKEN
        peer.sleep = AWAKE
        queue = self._choice.queue(peer)
        job = None if queue is None else self._places.assign(queue, peer)
        if woken and self._sleepers.wakeup:
            self._sleepers.pass_on(peer.functions)
        return job

    def _assign_unique(self, peer: Peer, job: Job) -> None:
        found = (job.handle, job.function.name, job.unique, job.workload)
        peer.send(JOB_ASSIGN_UNIQ, found)

    # -- what they tell of a job

    def status(
        self, peer: Peer, handle: bytes, numerator: bytes, denominator: bytes
    ) -> None:
        """Keep how far a job has come, and tell its clients in the worker's words."""
        job = self._owned(peer, handle)
        if job is not None:
            job.numerator = _number(numerator)
            job.denominator = _number(denominator)
            self._jobs.forward(job, WORK_STATUS, (handle, numerator, denominator))

    def data(self, peer: Peer, handle: bytes, data: bytes) -> None:
        job = self._owned(peer, handle, b"Job does not exist on server")
        if job is not None:
            self._jobs.forward(job, WORK_DATA, (handle, data))
        elif peer.late:
            # A result that lacks this part is not the job's any longer.
            peer.late.pop(handle, None)

    def warning(self, peer: Peer, handle: bytes, data: bytes) -> None:
        job = self._owned(peer, handle, b"Job does not exist on server")
        if job is not None:
            self._jobs.forward(job, WORK_WARNING, (handle, data))

    def complete(self, peer: Peer, handle: bytes, result: bytes) -> None:
        """End a job, the late one as well that another worker has or waits for."""
        job = self._ended(peer, handle)
        if job is not None:
            self._jobs.forward(job, WORK_COMPLETE, (handle, result))
            self._finish(job)

    def fail(self, peer: Peer, handle: bytes) -> None:
        """End a job. Workers that follow the PROTOCOL fail a job that they have just
        ended by an exception: that is no mistake of theirs, and changes nothing."""
        if handle == peer.raised:
            peer.raised = b""
            return
        job = self._ended(peer, handle)
        if job is not None:
            self._jobs.forward(job, WORK_FAIL, (job.handle,))
            self._finish(job)

    def exception(self, peer: Peer, handle: bytes, data: bytes) -> None:
        """End a job; clients that did not ask for exceptions see a failure."""
        text = b"An exception was received for a job that does not exist"
        job = self._ended(peer, handle, text)
        if job is not None:
            self._jobs.forward_exception(job, data)
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
        self._jobs.forward_exception(job, reason.encode())
        if peer.refused is None:
            peer.refused = deque(maxlen=MAX_REFUSED)
        peer.refused.append(handle)
        self._finish(job)

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
            job = self._jobs.find(handle)
            if job is not None and job.wanted():
                return job
        return self._owned(peer, handle, text)

    def _finish(self, job: Job) -> None:
        self._places.move(job, ENDED, GONE)
        self._jobs.retire(job)
        self._answers.pay()

    # -- workers that are gone, or too slow

    def lose(self, worker: Peer) -> None:
        """Queue the jobs of a worker again that is gone."""
        self._sleepers.forget(worker)
        self.reset_abilities(worker)
        for job in list(worker.jobs.values()):
            self._lost(job, worker, "its worker was lost")

    def expire(self) -> None:
        """End the jobs that have taken too long, or queue them again."""
        for job in self._places.deadlines.due(self._places.now):
            self._expire(job)

    def _expire(self, job: Job) -> None:
        worker = job.worker
        assert worker is not None  # noqa: S101
        reason = "it took longer than its timeout"
        if self.timeout_fails:
            job.retries += 1
            self._give_up(job, worker, reason)
        else:
            self._lost(job, worker, reason)
            self._expect(worker, job.handle)

    def _lost(self, job: Job, worker: Peer, reason: str) -> None:
        """Queue a job again whose worker is gone or was too slow."""
        if not job.wanted():
            self._places.move(job, LOST, GONE)
            return self._jobs.retire(job)
        job.retries += 1
        job.numerator = job.denominator = 0
        if 0 <= self.retries <= job.retries:
            return self._give_up(job, worker, reason)
        self._note("queued again", job, worker, reason)
        if job.stored:
            self._jobs.changes.append(job)
        return self._jobs.place(job, LOST)

    def _expect(self, worker: Peer, handle: bytes) -> None:
        """Let a result of this worker count that comes late."""
        if worker.late is None:
            worker.late = {}
        worker.late[handle] = None
        if len(worker.late) > MAX_LATE:
            del worker.late[next(iter(worker.late))]

    def _give_up(self, job: Job, worker: Peer, reason: str) -> None:
        self._note("given up", job, worker, reason)
        self._places.move(job, LOST, GONE)
        self._jobs.forward(job, WORK_FAIL, (job.handle,))
        self._jobs.retire(job)

    def _note(self, event: str, job: Job, worker: Peer, reason: str) -> None:
        name = job.function.name
        self.notices.append((event, job.handle, name, worker, reason, job.retries))


def _number(text: bytes) -> int:
    """Read a number as gearmand does: leading digits, at most 32 bits, else 0."""
    digits = _DIGITS.match(text[:MAX_NUMBER_TEXT])
    return min(int(b"0" + digits[1]), 0xFFFFFFFF) if digits else 0
