"""Numbers that several modules of the broker use."""

from ...commands import Command

HIGH, NORMAL, LOW = 0, 1, 2
AWAKE, SLEEPING, WOKEN = 0, 1, 2

NOOP = int(Command.NOOP)
JOB_CREATED = int(Command.JOB_CREATED)
NO_JOB = int(Command.NO_JOB)
JOB_ASSIGN = int(Command.JOB_ASSIGN)
WORK_STATUS = int(Command.WORK_STATUS)
WORK_COMPLETE = int(Command.WORK_COMPLETE)
WORK_FAIL = int(Command.WORK_FAIL)
ERROR = int(Command.ERROR)
STATUS_RES = int(Command.STATUS_RES)
WORK_EXCEPTION = int(Command.WORK_EXCEPTION)
WORK_DATA = int(Command.WORK_DATA)
WORK_WARNING = int(Command.WORK_WARNING)
JOB_ASSIGN_UNIQ = int(Command.JOB_ASSIGN_UNIQ)
JOB_ASSIGN_ALL = int(Command.JOB_ASSIGN_ALL)
STATUS_RES_UNIQUE = int(Command.STATUS_RES_UNIQUE)
RESULT_RES = int(Command.RESULT_RES)
WORK_CANCEL = int(Command.WORK_CANCEL)
JOB_TRACE = int(Command.JOB_TRACE)
WORK_RETRY = int(Command.WORK_RETRY)
GRAB_JOBS = int(Command.GRAB_JOBS)
LINK_JOB = int(Command.LINK_JOB)
LINK_READY = int(Command.LINK_READY)
LINK_RUNNING = int(Command.LINK_RUNNING)
LINK_RUNS = int(Command.LINK_RUNS)
LINK_LEAVE = int(Command.LINK_LEAVE)
LINK_SUBMIT = int(Command.LINK_SUBMIT)
LINK_CREATED = int(Command.LINK_CREATED)
LINK_REFUSED = int(Command.LINK_REFUSED)
LINK_STARTED = int(Command.LINK_STARTED)
LINK_ASK = int(Command.LINK_ASK)
LINK_TELL = int(Command.LINK_TELL)
LINK_BACK = int(Command.LINK_BACK)
LINK_ADOPT = int(Command.LINK_ADOPT)
LINK_SETTING = int(Command.LINK_SETTING)
LINK_TOKENS = int(Command.LINK_TOKENS)
LINK_GRANT = int(Command.LINK_GRANT)
CAN_DO = int(Command.CAN_DO)
CANT_DO = int(Command.CANT_DO)

# In the place of an answer's command: its argument is sent as it is.
RAW = -1

# A container with up to this many dead entries is not swept.
SWEEP = 32

# Limits of time may end early by this part of them, so that many end together.
EXACTNESS = 1000

# How many numbers of jobs are in a range (see `steering.ranges`).
RANGE = 256

# The states that RESULT_RES tells: of jobs that have ended, and of other jobs.
DONE, FAILURE, EXCEPTION = b"done", b"failed", b"exception"
WAITS, RUNS, UNKNOWN = b"waiting", b"running", b"unknown"
