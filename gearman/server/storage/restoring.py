"""Giving the broker what earlier runs of a server, or other servers, have stored."""

import logging
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from math import inf

from ...errors import QueueError, StartupError
from ...queue import Queue, StoredJob, Unreadable, replayed
from ..broker import Broker
from ..settings.levels import NOTICE

# Seconds between two lines in the log about the progress of the replay, and jobs
# between two looks at the clock.
PROGRESS_INTERVAL = 1.0
PROGRESS_JOBS = 10_000

# Lower than the number of every item.
FIRST = -(2**63)

log = logging.getLogger("gearman.server")


def replay(
    queue: Queue, broker: Broker, shards: AbstractSet[int] | None = None
) -> None:
    """Give the broker the jobs that are stored: all, or in a cluster those of shards.

    Items that are not jobs are logged and left in the store. Raises StartupError if the
    back end fails.
    """
    # No schedule may run before its last run and its pause are known.
    broker.schedules.first = inf
    broker.tick(time.monotonic(), time.time())
    progress = _Progress()
    count = 0
    try:
        for item in replayed(queue) if shards is None else read(queue, shards):
            count += restore(broker, item)
            if count % PROGRESS_JOBS == 0:
                progress.report(count)
        broker.stored.restored()
    except QueueError as error:
        broker.abandon()
        raise StartupError(f"stored jobs cannot be read: {error}") from error
    seconds = progress.seconds()
    log.log(NOTICE, "took up %d stored jobs in %.1f seconds", count, seconds)


def read(queue: Queue, shards: AbstractSet[int]) -> Iterator[StoredJob | Unreadable]:
    """Yield the items of shards. Raises QueueError."""
    after: int | None = FIRST
    while after is not None:
        page = queue.read(shards, after)
        yield from page.items
        after = page.last


def restore(broker: Broker, item: StoredJob | Unreadable) -> bool:
    """Give the broker a job; or log why it can't be one, and return False."""
    if isinstance(item, Unreadable):
        log.error("stored job %s is left alone: %s", item.key, item.reason)
        return False
    try:
        broker.stored.restore(*item)
    except (KeyError, ValueError) as error:
        log.error(
            "stored job %d is left alone: its field extra can't be read: %s",
            item.number,
            error,
        )
    return True


class _Progress:
    def __init__(self) -> None:
        self._start = self._last = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._start

    def report(self, count: int) -> None:
        now = time.monotonic()
        if now - self._last >= PROGRESS_INTERVAL:
            self._last = now
            log.log(NOTICE, "taking up stored jobs: %d so far", count)
