"""What counts for a job: its own options come before the policy of its function."""

from typing import Any

from ....options import DEFAULT_BACKOFF, Backoff, Dead
from ..model import Job

# More doublings of a pause make no difference.
MAX_DOUBLINGS = 100


def steered(job: Job) -> bool:
    """Whether anything but the standard may apply to a job."""
    return job.extra is not None or job.function.policy is not None


def value(job: Job, name: str) -> Any:
    """Return a value of the job's options, or else of the policy; None if not set."""
    extra = job.extra
    if extra is not None and extra.options is not None:
        found = getattr(extra.options, name)
        if found is not None:
            return found
    policy = job.function.policy
    return None if policy is None else getattr(policy, name)


def retries_of(job: Job) -> int:
    """Return how many attempts a job has after the first one."""
    retries: int | None = value(job, "retries")
    return retries or 0


def longest_pause(job: Job, attempts: int) -> float:
    """Return the most seconds to wait after so many failed attempts."""
    backoff: Backoff = value(job, "backoff") or DEFAULT_BACKOFF
    if backoff.kind == "fixed":
        return backoff.seconds
    doublings = min(attempts - 1, MAX_DOUBLINGS)
    return min(backoff.seconds * 2.0**doublings, backoff.longest)


def timeout_of(job: Job) -> float:
    """Return how many seconds an attempt may take; 0 is no limit."""
    if job.extra is None:
        return job.function.timeout
    timeout: float | None = value(job, "timeout")
    return timeout or 0.0


def keep_of(job: Job) -> float:
    """Return for how many seconds the result of a job is kept; 0 if it is not."""
    if job.extra is None:
        return job.function.keep
    keep: float | None = value(job, "keep")
    return keep or 0.0


def dead_of(job: Job) -> Dead | None:
    """Return where a job goes that is given up; None if it is dropped."""
    dead: Dead | None = value(job, "dead")
    return dead


def shorter(first: float, second: float) -> float:
    """Return the shorter of two timeouts in seconds; 0 is no limit."""
    if first <= 0 or second <= 0:
        return max(first, second)
    return min(first, second)
