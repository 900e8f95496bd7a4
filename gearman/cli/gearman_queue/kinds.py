"""What the records of a store are: jobs that wait, and what else a server keeps."""

from typing import Final

from ...queue import StoredJob
from ...server.broker.steering.records import (
    DEAD_JOB,
    JOB,
    RESULT,
    SETTING,
    Fields,
    split,
    time_of,
)

WAITING: Final = "waiting"
DEAD: Final = "dead"
KEPT_RESULT: Final = "result"
POLICY: Final = "policy"
SCHEDULE: Final = "schedule"
# A record of a later version, or a damaged one.
UNKNOWN: Final = "unknown"

SETTINGS: Final = (POLICY, SCHEDULE)

_KINDS: Final = {JOB: WAITING, DEAD_JOB: DEAD, RESULT: KEPT_RESULT}
_SETTINGS: Final = {b"policy": POLICY, b"schedule": SCHEDULE}


def kind(record: StoredJob) -> str:
    """Return what a record is."""
    if not record.extra:
        return WAITING
    try:
        fields = split(record.extra)
    except ValueError:
        return UNKNOWN
    name = fields.get(b"kind", JOB)
    if name == SETTING:
        return _SETTINGS.get(fields.get(b"what", b""), UNKNOWN)
    return _KINDS.get(name, UNKNOWN)


def start(record: StoredJob) -> float:
    """Return before when a job does not start, in seconds since the epoch."""
    return max(record.when, _due(record))


def _due(record: StoredJob) -> float:
    try:
        fields: Fields = split(record.extra) if record.extra else {}
        return time_of(fields, b"due")
    except ValueError:
        return 0.0
