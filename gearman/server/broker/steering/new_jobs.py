"""What options and policies mean for a submission."""

from ....options import JobOptions
from ..constants import NORMAL
from ..jobs import Jobs
from ..model import Function, Job
from .values import value

NO_WORKER = b"No worker has the function now, and the job needs one at once"


def needs_worker(function: Function, options: JobOptions | None) -> bool:
    """Whether a submission is refused while no worker has its function."""
    if options is None or options.need_worker is None:
        return function.exacting
    return options.need_worker


def priority_of(function: Function, options: JobOptions | None) -> int:
    """Return the priority of a job that was submitted with the normal one."""
    explicit = options is not None and options.priority is not None
    return NORMAL if explicit else function.priority


def extend(
    job: Job, options: JobOptions | None, jobs: Jobs, wall: float, stored: bool
) -> None:
    """Give a new job its options, or what the policy of its function makes necessary.

    `wall` is in seconds since the epoch; `stored` says whether the job will be stored.
    """
    function = job.function
    if options is None and not function.mortal and not (stored and function.ttl):
        return
    extra = jobs.extend(job, options)
    extra.submitted = wall
    if options is not None:
        if options.delay is not None:
            extra.due = wall + options.delay
        if options.at is not None:
            extra.due = max(extra.due, options.at)
        if options.after:
            jobs.follow(job, options.after)
    ttl = value(job, "ttl")
    if extra.awaits:
        # Its time to live begins when the jobs before it have ended.
        extra.expires = -1.0
    elif ttl is not None:
        extra.expires = max(extra.due, job.when, wall) + ttl
