"""The verbs of workers: registering functions, sleeping, grabbing, results."""

import re
from typing import TYPE_CHECKING

from ...commands import MAX_FUNCTION
from ...text import shown
from .answers import Answers
from .assignment.choice import Choice
from .assignment.losses import Losses
from .assignment.sleepers import Sleepers
from .constants import (
    AWAKE,
    JOB_ASSIGN,
    JOB_ASSIGN_ALL,
    JOB_ASSIGN_UNIQ,
    JOB_TRACE,
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
from .model import Function, Job, Peer, is_wanted
from .places import Places
from .states import COMPLETED, FAILED, GIVEN_UP, GONE, RAISED, RUNNING
from .steering.attempts import Attempts
from .steering.values import steered

if TYPE_CHECKING:
    from ...options import JobOptions

# The shortest timeout of a function in seconds, as with gearmand; others are raised.
MIN_TIMEOUT = 1.0

# So many bytes of a number that is sent as text are read.
MAX_NUMBER_TEXT = 100

_DIGITS = re.compile(rb"\s*\+?(\d{0,20})")


class Workers:
    """The verbs of workers.

    `attempts` decides about jobs that have options, or whose function has a policy;
    `losses` about those whose worker is lost.
    """

    def __init__(
        self,
        functions: Functions,
        choice: Choice,
        sleepers: Sleepers,
        places: Places,
        answers: Answers,
        jobs: Jobs,
        attempts: Attempts,
        losses: Losses,
    ) -> None:
        self._losses = losses
        self._attempts = attempts
        self._functions = functions
        self._choice = choice
        self._sleepers = sleepers
        self._places = places
        self._answers = answers
        self._jobs = jobs

    # -- functions of a worker

    def can_do(self, peer: Peer, name: bytes, timeout: float = 0.0) -> None:
        """Register a function; its jobs may take `timeout` seconds (0: no limit)."""
        if len(name) > MAX_FUNCTION:
            return peer.refuse(b"ARGUMENT_TOO_LARGE", b"Function name too large")
        if timeout > 0:
            timeout = max(timeout, MIN_TIMEOUT)
        if name in peer.abilities:
            peer.abilities[name] = timeout
            return None
        functions = self._functions
        limit = functions.limits.exceeded_by_worker(len(peer.functions))
        if limit is not None:
            functions.hits.add(limit)
            return peer.refuse(b"QUEUE_ERROR", FULL[limit])
        if not functions.admits(name, True):
            return peer.refuse(b"QUEUE_ERROR", FULL["max-functions"])
        function = functions.of(name)
        if not peer.functions and self._places.watch is not None:
            self._places.watch.worker(peer, came=True)
        # The function's own name object, so that all its workers share one.
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
        if self._places.links is not None:
            self._places.links.offers(peer, function)
        return None

    def cant_do(self, peer: Peer, name: bytes) -> None:
        """Remove a registration. A running job of the function may still be ended."""
        if name in peer.abilities:
            del peer.abilities[name]
            function = self._functions.known[name]
            peer.functions.remove(function)
            if function in peer.unlisted:
                peer.unlisted.remove(function)
            self._unregister(peer, function)
            if not peer.functions and self._places.watch is not None:
                self._places.watch.worker(peer, came=False)

    def reset_abilities(self, peer: Peer) -> None:
        """Remove all registrations. Running jobs may still be ended."""
        functions, peer.functions = peer.functions, []
        peer.unlisted.clear()
        peer.abilities.clear()
        for function in functions:
            self._unregister(peer, function)
        if functions and self._places.watch is not None:
            self._places.watch.worker(peer, came=False)

    def _unregister(self, peer: Peer, function: Function) -> None:
        function.workers -= 1
        self._functions.memory.peers -= ABILITY_MEMORY
        if not function.workers:
            self._functions.staffed -= 1
            function.unstaffed = self._places.now
        function.sleepers.pop(peer, None)
        if peer.sleep == WOKEN:
            self._sleepers.pass_on([function])
        if self._places.links is not None:
            self._places.links.offers(peer, function)

    def leave(self, peer: Peer) -> None:
        """Forget a worker that has disconnected, and queue its jobs again."""
        self._sleepers.forget(peer)
        self.reset_abilities(peer)
        self._losses.lose(peer)

    # -- sleeping and grabbing

    def pre_sleep(self, peer: Peer) -> None:
        """Wake a worker when there is a job for it, at once if there is one."""
        if peer.sleep == SLEEPING and not self._sleepers.wakeup:
            # There is no job: it would have woken all sleeping workers.
            return
        if self._choice.has_any(peer):
            self._sleepers.rouse(peer)
        else:
            self._sleepers.add(peer)
            if self._places.links is not None:
                self._places.links.slept(peer)

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
        """Give the worker its next job, if there is one."""
        woken = peer.sleep == WOKEN
        peer.sleep = AWAKE
        queue = self._choice.queue(peer)
        job = None
        if queue is not None:
            job = self._places.assign(queue, peer)
            if peer.raised or peer.late:
                _forget_attempts(peer, job)
            if peer.traces and job.extra is not None:
                _tell_trace(peer, job.handle, job.extra.options)
        if woken and self._sleepers.wakeup:
            self._sleepers.pass_on(peer.functions)
        return job

    def _assign_unique(self, peer: Peer, job: Job) -> None:
        found = (job.handle, job.function.name, job.unique, job.workload)
        peer.send(JOB_ASSIGN_UNIQ, found)

    # -- updates and results of a job

    def status(
        self, peer: Peer, handle: bytes, numerator: bytes, denominator: bytes
    ) -> None:
        """Keep the status of a job, and pass it on to its clients unchanged."""
        job = self._owned(peer, handle)
        if job is not None:
            job.progress = (_number(numerator), _number(denominator))
            self._jobs.forward(job, WORK_STATUS, (handle, numerator, denominator))

    def data(self, peer: Peer, handle: bytes, data: bytes) -> None:
        job = self._owned(peer, handle, b"Job does not exist on server")
        if job is not None:
            job.function.stats.bytes_out += len(data)
            self._jobs.forward(job, WORK_DATA, (handle, data))
        elif peer.late:
            # A late result without this part would be incomplete, so it no longer
            # counts.
            peer.late.pop(handle, None)

    def warning(self, peer: Peer, handle: bytes, data: bytes) -> None:
        job = self._owned(peer, handle, b"Job does not exist on server")
        if job is not None:
            self._jobs.forward(job, WORK_WARNING, (handle, data))

    def complete(self, peer: Peer, handle: bytes, result: bytes) -> None:
        """End a job, also by a late result while it is queued or running again."""
        # Without calls that most jobs don't need: this is done for each job.
        job = peer.jobs.get(handle)
        if job is None or peer.late:
            job = self._ended(peer, handle)
            if job is None:
                return
        function = job.function
        stats = function.stats
        stats.completed += 1
        stats.bytes_out += len(result)
        if job.clients is not None:
            self._jobs.forward(job, WORK_COMPLETE, (handle, result))
        self._finish(job, COMPLETED)
        if job.background and (function.keep or job.extra is not None):
            self._attempts.ended(job, result)

    def fail(self, peer: Peer, handle: bytes) -> None:
        """End a job as failed.

        By the PROTOCOL a worker may send WORK_FAIL after WORK_EXCEPTION. Then the job
        has ended already, and WORK_FAIL is no error and changes nothing.
        """
        if handle == peer.raised:
            peer.raised = b""
            return
        job = self._ended(peer, handle)
        if job is None:
            return
        job.function.stats.failed += 1
        if steered(job):
            self._attempt_failed(job, peer, "its worker sent WORK_FAIL", None)
        else:
            self._jobs.forward(job, WORK_FAIL, (job.handle,))
            self._finish(job, FAILED)

    def exception(self, peer: Peer, handle: bytes, data: bytes) -> None:
        """End a job; clients that did not ask for exceptions get WORK_FAIL."""
        text = b"An exception was received for a job that does not exist"
        job = self._ended(peer, handle, text)
        if job is None:
            return
        peer.raised = handle
        job.function.stats.exceptions += 1
        if steered(job):
            reason = "its worker sent WORK_EXCEPTION"
            self._attempt_failed(job, peer, reason, data)
        else:
            self._jobs.forward_exception(job, data)
            self._finish(job, RAISED)

    def retry(
        self, peer: Peer, handle: bytes, pause: float, reason: bytes, counts: bool
    ) -> None:
        """Give a job back, to be tried again in `pause` seconds.

        With `counts`, that is a failed attempt. A job that is tried again already stays
        as it is.
        """
        job = self._ended(peer, handle)
        if job is not None and job.worker is peer:
            extra, links = job.extra, self._places.links
            if extra is not None and extra.lender is not None and links is not None:
                return links.retried(job, pause, reason, counts)
            why = shown(reason) if reason else "no reason given"
            text = f"its worker gave it back: {why}"
            self._attempts.returned(job, peer, pause, text, counts)
            self._answers.pay()
        return None

    def _attempt_failed(
        self, job: Job, peer: Peer, reason: str, error: bytes | None
    ) -> None:
        """Count a failed attempt, unless the job is tried again already."""
        if job.state == RUNNING and job.worker is peer:
            self._attempts.failed(job, peer, reason, error)
            self._answers.pay()

    def refuse_result(self, peer: Peer, handle: bytes, size: int, limit: int) -> None:
        """End a job because its worker has begun to send a packet that is too large.

        The job is not queued again, since any worker would send the same. The worker
        gets no ERROR: it expects no answer here, and would take one for the answer to
        its next request. `size` and `limit` are in bytes.
        """
        job = self._ended(peer, handle)
        if job is None:
            return
        self._losses.ignore(peer, handle)
        if steered(job) and job.worker is not peer:
            # It is tried again already.
            return
        reason = f"a packet of {size} bytes for it is over the limit of {limit}"
        job.retries += 1
        self._losses.note("given up", job, peer, reason)
        if steered(job):
            self._attempts.give_up(job, GIVEN_UP, reason, reason.encode())
            self._answers.pay()
        else:
            job.function.stats.given_up += 1
            self._jobs.forward_exception(job, reason.encode())
            self._finish(job, GIVEN_UP)

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
        """Return the job that a result is for, even if the result is late."""
        job = peer.jobs.get(handle)
        if peer.late and handle in peer.late:
            name = peer.late.pop(handle)
            late = self._jobs.find(handle)
            if late is not None and is_wanted(late) and late.function.name == name:
                return late
        if job is not None:
            return job
        return self._owned(peer, handle, text)

    def _finish(self, job: Job, event: int) -> None:
        self._places.move(job, event, GONE)
        self._jobs.retire(job)
        self._answers.pay()


def _forget_attempts(peer: Peer, job: Job) -> None:
    """Forget what was expected of a worker's earlier attempt of a job."""
    if peer.raised == job.handle:
        peer.raised = b""
    if peer.late:
        peer.late.pop(job.handle, None)


def _tell_trace(peer: Peer, handle: bytes, options: "JobOptions | None") -> None:
    """Tell a worker the trace of the job that it gets, directly before the job."""
    if options is not None and options.trace is not None:
        peer.send(JOB_TRACE, (handle, options.trace.encode()))


def _number(text: bytes) -> int:
    """Read a number as gearmand does: leading digits, 32 bits at most; else 0."""
    digits = _DIGITS.match(text[:MAX_NUMBER_TEXT])
    return min(int(b"0" + digits[1]), 0xFFFFFFFF) if digits else 0
