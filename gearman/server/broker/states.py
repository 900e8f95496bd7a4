"""The places where a job can be, and which event may move it from where to where.

A job is in exactly one place. It is pending while a queue plugin stores it, awaiting
others until these have ended, scheduled until its time, queued in its function, running
in a worker, dead in the dead list, away with another server of the cluster, or gone.
Only `Places.move` moves a job. The tests check every move against MOVES.
"""

NEW, PENDING, SCHEDULED, QUEUED, RUNNING, GONE, AWAITING, DEAD, AWAY = range(9)

# A client has submitted the job, or it takes the place of one that was given up; an
# earlier run of the server has stored it.
SUBMITTED, RESTORED = 0, 1
# It was stored, or could not be stored.
STORED, UNSTORED = 2, 3
# Its scheduled time has come.
DUE = 4
# A worker has got it; the worker was lost, or exceeded the timeout; a worker has done
# it. A late result may end a job that is queued again.
ASSIGNED, LOST, COMPLETED = 5, 6, 7
# No client waits for it any more: if it runs, it stays with its worker, and its result
# is dropped. An admin has cancelled it.
ABANDONED, CANCELLED = 8, 9
# The server leaves the stored job to its next run.
SHELVED = 10
# An attempt has failed; a worker has given it back; its time to live is over.
FAILED, RETURNED, EXPIRED = 11, 12, 13
# An attempt has failed with an exception; the job is not tried again although that was
# asked for, or because too many workers were lost with it.
RAISED, GIVEN_UP = 17, 18
# The jobs that it waited for have ended.
RELEASED = 14
# A dead job is tried again, as a new one; the dead list drops it.
REVIVED, FORGOTTEN = 15, 16
# Another server has accepted it.
PASSED_ON = 19
# It was passed on to the server of its cluster where its unique belongs; it has ended
# there; it goes on here, since that server can't be reached.
SENT_HOME, ENDED_AWAY, CAME_BACK = 20, 21, 22
# Its former owner has lent it to a server that still runs it.
ADOPTED = 23
# It was borrowed, and is given back to its owner; or its owner is this server now.
GIVEN_BACK = 24

# For each event, the places from which and to which it may move a job.
MOVES: dict[int, dict[int, tuple[int, ...]]] = {
    SUBMITTED: {NEW: (PENDING, AWAITING, SCHEDULED, QUEUED)},
    RESTORED: {NEW: (AWAITING, SCHEDULED, QUEUED, DEAD)},
    STORED: {PENDING: (AWAITING, SCHEDULED, QUEUED)},
    UNSTORED: {
        PENDING: (GONE,),
        AWAITING: (GONE,),
        SCHEDULED: (GONE,),
        QUEUED: (GONE,),
    },
    DUE: {SCHEDULED: (QUEUED,)},
    ASSIGNED: {QUEUED: (RUNNING,)},
    LOST: {RUNNING: (SCHEDULED, QUEUED)},
    COMPLETED: {RUNNING: (GONE,), SCHEDULED: (GONE,), QUEUED: (GONE,)},
    ABANDONED: {
        AWAITING: (GONE,),
        SCHEDULED: (GONE,),
        QUEUED: (GONE,),
        RUNNING: (GONE,),
        AWAY: (GONE,),
    },
    CANCELLED: {
        PENDING: (GONE,),
        AWAITING: (GONE,),
        SCHEDULED: (GONE,),
        QUEUED: (GONE,),
        RUNNING: (GONE,),
    },
    SHELVED: {
        NEW: (GONE,),
        PENDING: (GONE,),
        AWAITING: (GONE,),
        SCHEDULED: (GONE,),
        QUEUED: (GONE,),
        RUNNING: (GONE,),
        DEAD: (GONE,),
    },
    FAILED: {
        RUNNING: (SCHEDULED, QUEUED, GONE),
        SCHEDULED: (GONE,),
        QUEUED: (GONE,),
    },
    RAISED: {
        RUNNING: (SCHEDULED, QUEUED, GONE),
        SCHEDULED: (GONE,),
        QUEUED: (GONE,),
    },
    GIVEN_UP: {RUNNING: (DEAD, GONE), SCHEDULED: (GONE,), QUEUED: (GONE,)},
    RETURNED: {RUNNING: (SCHEDULED, QUEUED)},
    EXPIRED: {QUEUED: (DEAD, GONE)},
    RELEASED: {AWAITING: (SCHEDULED, QUEUED)},
    REVIVED: {DEAD: (GONE,), NEW: (SCHEDULED, QUEUED)},
    FORGOTTEN: {DEAD: (GONE,)},
    PASSED_ON: {RUNNING: (GONE,)},
    SENT_HOME: {NEW: (AWAY,)},
    ENDED_AWAY: {AWAY: (GONE,)},
    CAME_BACK: {AWAY: (PENDING, AWAITING, SCHEDULED, QUEUED)},
    ADOPTED: {NEW: (RUNNING,)},
    GIVEN_BACK: {
        AWAITING: (GONE,),
        SCHEDULED: (GONE,),
        QUEUED: (GONE,),
        RUNNING: (GONE,),
    },
}
