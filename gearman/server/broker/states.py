"""The places where a job can be, and which event may move it from where to where.

A job is in exactly one place. It is pending while a queue plugin stores it, scheduled
until its time, queued in its function, running in a worker, or gone. Only `Places.move`
moves a job. The tests check every move against MOVES.
"""

NEW, PENDING, SCHEDULED, QUEUED, RUNNING, GONE = range(6)

# A client has submitted the job, or an earlier run of the server has stored it.
SUBMITTED, RESTORED = 0, 1
# It was stored, or could not be stored.
STORED, UNSTORED = 2, 3
# Its scheduled time has come.
DUE = 4
# A worker has got it; the worker was lost, or exceeded the timeout; a worker has ended
# it. A late result may end a job that is queued again.
ASSIGNED, LOST, ENDED = 5, 6, 7
# No client waits for it any more; an admin has cancelled it. If it runs, it stays with
# its worker, and its result is dropped.
ABANDONED, CANCELLED = 8, 9
# The server leaves the stored job to its next run.
SHELVED = 10

# For each event, the places from which and to which it may move a job.
MOVES: dict[int, dict[int, tuple[int, ...]]] = {
    SUBMITTED: {NEW: (PENDING, SCHEDULED, QUEUED)},
    RESTORED: {NEW: (SCHEDULED, QUEUED, GONE)},
    STORED: {PENDING: (SCHEDULED, QUEUED, GONE)},
    UNSTORED: {PENDING: (GONE,), SCHEDULED: (GONE,), QUEUED: (GONE,)},
    DUE: {SCHEDULED: (QUEUED,)},
    ASSIGNED: {QUEUED: (RUNNING,)},
    LOST: {RUNNING: (SCHEDULED, QUEUED, GONE)},
    ENDED: {RUNNING: (GONE,), SCHEDULED: (GONE,), QUEUED: (GONE,)},
    ABANDONED: {SCHEDULED: (GONE,), QUEUED: (GONE,)},
    CANCELLED: {PENDING: (GONE,), SCHEDULED: (GONE,), QUEUED: (GONE,)},
    SHELVED: {SCHEDULED: (GONE,), QUEUED: (GONE,)},
}
