"""What becomes of jobs whose worker is lost or too slow."""

from collections import deque

from ..constants import WORK_CANCEL, WORK_FAIL
from ..jobs import Jobs
from ..model import Job, Notice, Peer, is_wanted
from ..places import Places
from ..states import ABANDONED, GIVEN_UP, GONE, LOST
from ..steering.attempts import Attempts
from ..steering.values import steered, timeout_of

# For so many jobs that exceeded their timeout a worker may still send the result.
MAX_LATE = 1000

# For so many jobs whose result was refused, further packets of the worker are ignored.
MAX_REFUSED = 100


class Losses:
    """Queues jobs again whose worker is lost, or gives them up.

    A job fails when `retries` workers were lost with it (-1: never; 0 counts as 1).
    With `timeout_fails` a job that exceeds its timeout fails; otherwise its worker
    counts as lost. `notices` has the failed attempts of jobs, for the log. `attempts`
    decides about jobs that have options, or whose function has a policy.
    """

    def __init__(
        self,
        places: Places,
        jobs: Jobs,
        attempts: Attempts,
        notices: list[Notice],
        retries: int,
        timeout_fails: bool,
    ) -> None:
        self.retries = retries
        self.timeout_fails = timeout_fails
        self.notices = notices
        self._attempts = attempts
        self._places = places
        self._jobs = jobs

    def lose(self, worker: Peer) -> None:
        """Queue again the jobs of a worker that has disconnected."""
        for job in list(worker.jobs.values()):
            extra, links = job.extra, self._places.links
            if extra is not None and extra.lender is not None and links is not None:
                links.lost(job)
                continue
            job.function.stats.lost += 1
            self.lost(job, worker, "its worker was lost")

    def expire(self) -> None:
        """Let jobs that exceeded their timeout fail, or queue them again."""
        for job in self._places.deadlines.due(self._places.now):
            extra, links = job.extra, self._places.links
            if extra is not None and extra.lender is not None and links is not None:
                links.overdue(job)
            else:
                self.overdue(job)

    def overdue(self, job: Job) -> None:
        """Let a job that exceeded its timeout fail, or queue it again."""
        worker = job.worker
        assert worker is not None  # noqa: S101
        job.function.stats.timeouts += 1
        if steered(job) and self._is_own_timeout(job, worker):
            self._attempts.timed_out(job, worker)
            if self._jobs.find(job.handle) is job:
                self._expect(worker, job)
            else:
                self.ignore(worker, job.handle)
            return
        reason = "it took longer than its timeout"
        if self.timeout_fails:
            job.retries += 1
            self._give_up(job, worker, reason)
        else:
            self.lost(job, worker, reason)
            self._expect(worker, job)

    def lost(self, job: Job, worker: Peer, reason: str) -> None:
        """Queue again a job whose worker was lost or too slow."""
        if not is_wanted(job):
            job.function.stats.abandoned += 1
            self._places.move(job, ABANDONED, GONE)
            return self._jobs.retire(job)
        job.retries += 1
        job.progress = (0, 0)
        if 0 <= self.retries <= job.retries:
            return self._give_up(job, worker, reason)
        self.note("queued again", job, worker, reason)
        if job.stored:
            self._jobs.store(job)
        return self._jobs.place(job, LOST)

    def _is_own_timeout(self, job: Job, worker: Peer) -> bool:
        """Whether the job's timeout was over, and not that of its worker."""
        own = timeout_of(job)
        limit: float = worker.abilities.get(job.function.name, 0.0)
        return own > 0 and not 0 < limit < own

    def dismiss(self, job: Job) -> None:
        """Take a job from its worker, which is told so if it asked for that."""
        worker = job.worker
        assert worker is not None  # noqa: S101
        if worker.extensions:
            worker.send(WORK_CANCEL, (job.handle,))
        self.ignore(worker, job.handle)

    def _expect(self, worker: Peer, job: Job) -> None:
        """Let a late result of this worker count."""
        if worker.late is None:
            worker.late = {}
        worker.late[job.handle] = job.function.name
        if len(worker.late) > MAX_LATE:
            del worker.late[next(iter(worker.late))]

    def _give_up(self, job: Job, worker: Peer, reason: str) -> None:
        self.note("given up", job, worker, reason)
        if steered(job):
            return self._attempts.give_up(job, GIVEN_UP, reason, None)
        job.function.stats.given_up += 1
        self._places.move(job, GIVEN_UP, GONE)
        self._jobs.forward(job, WORK_FAIL, (job.handle,))
        return self._jobs.retire(job)

    def note(self, event: str, job: Job, worker: Peer, reason: str) -> None:
        """Note an event for the log."""
        name = job.function.name
        self.notices.append((event, job.handle, name, worker, reason, job.retries))

    def ignore(self, peer: Peer, handle: bytes) -> None:
        """Ignore further packets of a worker for a job."""
        if peer.refused is None:
            peer.refused = deque(maxlen=MAX_REFUSED)
        peer.refused.append(handle)
