"""Options of a job as keyword arguments, which all clients have."""

from typing import TypedDict

from .model import Backoff, Dead


class CommonOptions(TypedDict, total=False):
    """Options of a job; times are in seconds. None is not set.

    delay: after which time from now the job may start.
    ttl: how long it may wait for its start; then it fails.
    timeout: how long an attempt may take.
    retries, backoff: how many attempts may follow a failed one, after which pauses:
        "fixed:S", or "exponential:S:LONGEST" (the default is "exponential:5:3600"),
        of which a random part is waited.
    keep: how long the server keeps the result of a background job.
    dead: what becomes of a background job that has failed for good: "list" (it goes to
        the server's list of dead jobs), "function:NAME" or "none".
    need_worker: the job is refused if no worker has its function now.
    trace: a W3C traceparent.
    """

    delay: float | None
    ttl: float | None
    timeout: float | None
    retries: int | None
    backoff: str | Backoff | None
    keep: float | None
    dead: str | Dead | None
    need_worker: bool | None
    trace: str | None
