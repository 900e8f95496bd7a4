"""The options of a job and the policy of a function, as values."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Backoff:
    """The waiting time before an attempt is repeated; times are in seconds.

    `kind` is "fixed" or "exponential". An exponential time begins with `seconds`, and
    doubles with each attempt up to `longest`. For a fixed one, both are the same.
    """

    kind: str
    seconds: float
    longest: float


@dataclass(frozen=True, slots=True)
class Dead:
    """What becomes of a background job that is given up.

    `kind` is "list" (it is kept in the dead list), "function" (it becomes a job of
    `function`) or "none" (it is dropped).
    """

    kind: str
    function: bytes = b""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` jobs may start in `seconds`, which is 1, 60 or 3600."""

    count: float
    seconds: float


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Options of one job; None is not set. Times are in seconds, `at` since 1970.

    `ttl` is how long the job may wait for its first start, `timeout` how long an
    attempt may take, `retries` how many attempts may follow the first, `keep` how long
    the result is kept. The job waits for the end of the jobs `after`. With
    `need_worker` it is refused if no worker has the function. `trace` is a W3C
    traceparent. `priority` is 0 (high), 1 or 2 (low). `via` has the names of the
    servers that have passed it on.
    """

    at: float | None = None
    delay: float | None = None
    ttl: float | None = None
    timeout: float | None = None
    retries: int | None = None
    backoff: Backoff | None = None
    keep: float | None = None
    dead: Dead | None = None
    after: tuple[bytes, ...] | None = None
    need_worker: bool | None = None
    trace: str | None = None
    background: bool | None = None
    priority: int | None = None
    via: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """Defaults for the jobs of a function, and its limits; None is not set.

    The first fields are those of JobOptions. `max_running` limits the jobs that run at
    a time, `max_queue` the jobs altogether (0 is no limit). A `paused` function starts
    no job. `weight` is its share among the functions of a worker.
    """

    ttl: float | None = None
    timeout: float | None = None
    retries: int | None = None
    backoff: Backoff | None = None
    keep: float | None = None
    dead: Dead | None = None
    need_worker: bool | None = None
    priority: int | None = None
    max_running: int | None = None
    rate: Rate | None = None
    max_queue: int | None = None
    paused: bool | None = None
    weight: int | None = None


# For retries without a backoff.
DEFAULT_BACKOFF: Final = Backoff("exponential", 5.0, 3600.0)
