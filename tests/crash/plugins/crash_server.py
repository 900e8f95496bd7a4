"""A job server whose schedules have many times, and which notes their runs.

Each schedule has a time every CRASH_STEP seconds, whatever its cron says. Before a job
is given to the queue plugin that is the run of a schedule, its handle and its `extra`
are appended to the file CRASH_DIARY.
"""

import os
import sys

from gearman.options import Schedule
from gearman.queue import StoredJob
from gearman.server.__main__ import main
from gearman.server.settings.cron import CronTimes
from gearman.server.storage import journal, store
from gearman.server.storage.journal import Added

STEP = float(os.environ["CRASH_STEP"])
DIARY = os.open(os.environ["CRASH_DIARY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

stored = journal.stored


def following(self: CronTimes, schedule: Schedule, after: float) -> float:
    return (after // STEP + 1) * STEP


def preceding(self: CronTimes, schedule: Schedule, until: float) -> float:
    return until // STEP * STEP


def noted(job: Added) -> StoredJob:
    found = stored(job)
    if b"&run=" in found.extra:
        os.write(DIARY, found.handle + b" " + found.extra + b"\n")
    return found


CronTimes.following = following  # type: ignore[method-assign]
CronTimes.preceding = preceding  # type: ignore[method-assign]
store.stored = noted  # type: ignore[attr-defined]

if __name__ == "__main__":
    sys.exit(main())
