"""What becomes of a job whose attempt has failed, or whose time is over.

It is tried again after a pause, as often as its retries allow. Its clients hear of the
last failure only. Then it is given up: a background job may go to the dead list or to
another function, or the store keeps for some time that it has failed.
"""

from collections.abc import Callable

from ....options import Dead
from ..constants import DONE, EXCEPTION, FAILURE, WORK_CANCEL, WORK_FAIL
from ..functions import Functions
from ..jobs import Jobs
from ..model import Extra, Job, Notice, Peer, is_wanted
from ..places import Places
from ..states import DEAD, EXPIRED, FAILED, GIVEN_UP, GONE, RAISED, RETURNED, SUBMITTED
from .dead import DeadJobs
from .results import Results
from .values import dead_of, longest_pause, retries_of

# So many bytes of the last exception are kept with a dead job.
MAX_ERROR = 64 * 1024


class Attempts:
    """Tries jobs again, and gives them up.

    `chance` returns a random number from 0 to 1. `notices` gets what the log says.
    """

    def __init__(
        self,
        places: Places,
        functions: Functions,
        jobs: Jobs,
        dead: DeadJobs,
        results: Results,
        notices: list[Notice],
        chance: Callable[[], float],
    ) -> None:
        self._places = places
        self._functions = functions
        self._jobs = jobs
        self._dead = dead
        self._results = results
        self._notices = notices
        self._chance = chance

    def failed(self, job: Job, worker: Peer, reason: str, error: bytes | None) -> None:
        """Count an attempt that failed, with an exception (`error`) or without one.

        For a borrowed job that is done by the server that it belongs to.
        """
        if job.extra is not None and job.extra.lender is not None:
            if error is None:
                self._jobs.forward(job, WORK_FAIL, (job.handle,))
            else:
                self._jobs.forward_exception(job, error)
            self._places.move(job, FAILED, GONE)
            return self._jobs.retire(job)
        extra = self._jobs.extend(job)
        extra.attempts += 1
        if extra.attempts > retries_of(job) or not is_wanted(job):
            self._note_end(job, worker, reason)
            self.give_up(job, GIVEN_UP, reason, error)
        else:
            pause = longest_pause(job, extra.attempts) * self._chance()
            event = FAILED if error is None else RAISED
            self._try_again(job, extra, worker, event, pause, reason)
        return None

    def returned(
        self, job: Job, worker: Peer, pause: float, reason: str, counts: bool
    ) -> None:
        """Try a job again after `pause` seconds, as its worker wishes.

        If this `counts` as a failed attempt, the job may be given up instead.
        """
        extra = self._jobs.extend(job)
        extra.attempts += counts
        if not is_wanted(job) or (counts and extra.attempts > retries_of(job)):
            self._note_end(job, worker, reason)
            self.give_up(job, GIVEN_UP, reason, None)
        else:
            self._try_again(job, extra, worker, RETURNED, pause, reason)

    def timed_out(self, job: Job, worker: Peer) -> None:
        """Count an attempt that took longer than the job's timeout."""
        if worker.extensions:
            worker.send(WORK_CANCEL, (job.handle,))
        self.failed(job, worker, "it took longer than its timeout", None)

    def expire(self) -> None:
        """Give up the queued jobs whose time to live is over."""
        places = self._places
        for jobs in (places.lives.due(places.wall), places.expiry.due(places.wall)):
            for job in jobs:
                reason = "no worker took it within its time to live"
                job.function.stats.expired += 1
                self._note("given up", job, None, reason)
                self.give_up(job, EXPIRED, reason, None)

    def ended(self, job: Job, result: bytes) -> None:
        """Keep the result of a job that is done, if it is to be kept."""
        self._results.keep(job, DONE, result)

    def give_up(self, job: Job, event: int, reason: str, error: bytes | None) -> None:
        """Let a job fail for good."""
        jobs = self._jobs
        extra = jobs.extend(job)
        job.function.stats.given_up += 1
        if error is None:
            jobs.forward(job, WORK_FAIL, (job.handle,))
        else:
            jobs.forward_exception(job, error)
        goes = dead_of(job) if job.background else None
        if goes is None or goes.kind == "none":
            self._places.move(job, event, GONE)
            jobs.retire(job)
            if error is None:
                self._results.keep(job, FAILURE, reason.encode())
            else:
                self._results.keep(job, EXCEPTION, error)
        elif goes.kind == "list" or extra.moved:
            extra.died = self._places.wall
            extra.reason = reason.encode()
            extra.error = None if error is None else error[:MAX_ERROR]
            extra.due = extra.expires = 0.0
            self._places.move(job, event, DEAD)
            jobs.retire(job)
            self._dead.add(job)
        else:
            self._hand_over(job, event, goes)

    def _try_again(
        self,
        job: Job,
        extra: Extra,
        worker: Peer,
        event: int,
        pause: float,
        reason: str,
    ) -> None:
        job.function.stats.retried += 1
        job.progress = (0, 0)
        extra.due = self._places.wall + pause if pause > 0 else 0.0
        self._note("tried again", job, worker, reason)
        if job.stored:
            self._jobs.store(job)
        self._jobs.place(job, event)

    def _hand_over(self, job: Job, event: int, goes: Dead) -> None:
        """Make a job that was given up a job of another function.

        It keeps its number and its handle, so that the store just replaces it.
        """
        jobs = self._jobs
        workload = job.workload
        submitted = job.extra.submitted if job.extra is not None else 0.0
        self._places.move(job, event, GONE)
        jobs.retire(job)
        new = jobs.make_again(job, self._functions.of(goes.function), workload)
        extra = jobs.extend(new)
        extra.submitted = submitted
        extra.moved = True
        extra.expires = -1.0
        if new.stored:
            jobs.store(new)
        jobs.place(new, SUBMITTED)

    def _note_end(self, job: Job, worker: Peer, reason: str) -> None:
        """Log that a job is given up, if its failure is not just what was asked for."""
        if retries_of(job) or (job.background and dead_of(job) is not None):
            self._note("given up", job, worker, reason)

    def _note(self, event: str, job: Job, worker: Peer | None, reason: str) -> None:
        name = job.function.name
        attempts = 0 if job.extra is None else job.extra.attempts
        self._notices.append((event, job.handle, name, worker, reason, attempts))
