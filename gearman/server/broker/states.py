"""Where a job can be, and which event may take it from where to where.

A job is in exactly one place: pending until the store has it, where background jobs
are kept in a store; among the scheduled ones; in a queue of its function; with a
worker; or gone. `Places.move` is the only way from one to another. The tests check each
of its steps against MOVES.
"""

NEW, PENDING, SCHEDULED, QUEUED, RUNNING, GONE = range(6)

# A client has submitted the job, or an earlier run of the server had stored it.
SUBMITTED, RESTORED = 0, 1
# The store has it, or cannot have it.
STORED, UNSTORED = 2, 3
# Its time has come.
DUE = 4
# A worker has got it; was lost, or too slow; has ended it. A result may come late, when
# the job is in a queue again.
ASSIGNED, LOST, ENDED = 5, 6, 7
# Nobody waits for it any longer; an admin does not want it. A job that runs goes on
# then, for nobody.
ABANDONED, CANCELLED = 8, 9
# The server leaves it to its next run.
SHELVED = 10

# By event, from where to where.
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
