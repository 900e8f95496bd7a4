"""Jobs as a store has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..commands import MAX_FUNCTION, MAX_UNIQUE
from ..text import shown

HIGH, NORMAL, LOW = 0, 1, 2

# Bytes of the longest `extra` of a stored job.
MAX_EXTRA: Final = 64 * 1024 * 1024


class StoredJob(NamedTuple):
    """A background job as it is stored, or another record of the server.

    `number` is its key in the store: from 1 to 2**63 - 1, higher for a later
    submission. `handle` is empty, or ends with a colon and `number`. `function` (up to
    8180 bytes) and `unique` (up to 64) are any bytes but NUL; several jobs may have the
    same ones, and `unique` may be empty. `workload` is any bytes, up to 4 GiB.
    `priority` is 0, 1 or 2 for high, normal and low. `when` is in seconds since the
    epoch, 0 for immediately. `retries` counts how often the job was queued again.
    `reducer` is bytes without NUL, or None.

    `extra` is any bytes, up to MAX_EXTRA, usually none or some hundred. Only the server
    knows what they mean: a plugin stores and returns them, and does not look inside. By
    them the server also tells its other records from jobs that wait; to a plugin these
    are jobs like all others.
    """

    number: int
    handle: bytes
    function: bytes
    unique: bytes
    workload: bytes
    priority: int = NORMAL
    when: int = 0
    retries: int = 0
    reducer: bytes | None = None
    extra: bytes = b""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item in a store that cannot be read as a job.

    `key` says where an operator finds it, `reason` what is wrong with it. Both appear
    in the log.
    """

    key: str
    reason: str


class Page(NamedTuple):
    """Some items of a store.

    `last` is the highest number among them; None if there are no jobs.
    """

    items: Sequence[StoredJob | Unreadable]
    last: int | None


def check(job: StoredJob) -> str:
    """Return why no server can have stored this job, "" if it is valid."""
    if not 0 < job.number < 2**63:
        return f"its number is {job.number}"
    if len(job.function) > MAX_FUNCTION or b"\0" in job.function:
        return f"its function is too long or has a NUL: {shown(job.function)}"
    if len(job.unique) > MAX_UNIQUE or b"\0" in job.unique:
        return f"its unique is too long or has a NUL: {shown(job.unique)}"
    if job.priority not in (HIGH, NORMAL, LOW):
        return f"its priority is {job.priority}"
    if not 0 <= job.when < 2**63:
        return f"its time is {job.when}"
    if not isinstance(job.extra, bytes):
        return f"its extra is {job.extra!r:.80}"
    if len(job.extra) > MAX_EXTRA:
        return f"its extra has {len(job.extra)} bytes"
    return ""
