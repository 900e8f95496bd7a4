"""Fields of packets, and of the objects of JSON that describe jobs and workers."""

import re
from typing import Final

from ...text import text_or_base64
from ..broker import HIGH, LOW, NORMAL, Peer
from ..broker.states import (
    AWAITING,
    AWAY,
    DEAD,
    GONE,
    PENDING,
    QUEUED,
    RUNNING,
    SCHEDULED,
)

# Where a job is.
STATES: Final = {
    QUEUED: "waiting",
    SCHEDULED: "scheduled",
    AWAITING: "awaiting",
    PENDING: "pending",
    RUNNING: "running",
    DEAD: "dead",
    AWAY: "away",
    GONE: "gone",
}
PRIORITIES: Final = {HIGH: "high", NORMAL: "normal", LOW: "low"}

# A number as strtoll reads it; but there must be one, and a fraction is rounded up, so
# that no time is too early.
_NUMBER = re.compile(rb"\s*([+-]?\d{1,19})(\.\d*)?\s*")
_MAX_NUMBER_TEXT = 100
_MAX_NUMBER = 2**63 - 1


def worker_fields(peer: Peer) -> dict[str, object]:
    """Return who a worker is."""
    return {
        "descriptor": peer.descriptor,
        "address": peer.address,
        "id": text_or_base64(peer.client_id),
    }


def seconds(time: float) -> float:
    """Round a time to microseconds; what is negative, as clocks differ, is 0."""
    return round(max(time, 0.0), 6)


def number_of(text: bytes) -> int | None:
    """Return the number that a text is, None if it is none."""
    found = _NUMBER.fullmatch(text) if len(text) <= _MAX_NUMBER_TEXT else None
    if found is None:
        return None
    number = int(found[1])
    if number >= 0 and (found[2] or b"").strip(b".0"):
        number += 1
    return None if abs(number) > _MAX_NUMBER else number


def until_nul(text: bytes) -> bytes:
    """Cut a text at its first NUL."""
    return text.partition(b"\0")[0]
