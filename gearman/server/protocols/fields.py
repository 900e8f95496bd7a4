"""Words and objects that describe jobs and workers in JSON."""

from typing import Final

from ...text import text_or_base64
from ..broker import HIGH, LOW, NORMAL, Peer
from ..broker.states import AWAITING, DEAD, GONE, PENDING, QUEUED, RUNNING, SCHEDULED

# Where a job is.
STATES: Final = {
    QUEUED: "waiting",
    SCHEDULED: "scheduled",
    AWAITING: "awaiting",
    PENDING: "pending",
    RUNNING: "running",
    DEAD: "dead",
    GONE: "gone",
}
PRIORITIES: Final = {HIGH: "high", NORMAL: "normal", LOW: "low"}


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
