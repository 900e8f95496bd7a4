"""Group commit: the thread between the broker and a queue plugin.

Plugins block, so they are called in a thread of their own. Each commit has all changes
that arrived during the commit before it. The slower the back end, the larger are the
batches. Only the clients that submit background jobs wait for it.

If the back end fails, it is tried again: once immediately, and then after pauses that
become longer. Until it works again, only removals are tried, and jobs to be added are
refused. Each failure makes the next batch smaller: a full disk may have room to remove
a few jobs, which makes room to remove more, but not to remove all at once.

If another server of the cluster owns the jobs, nothing is tried any more.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import inf
from typing import NamedTuple, cast

from ...errors import Fenced, JobRefused, JobsLost, QueueError
from ...queue import Inbox, Queue
from ...text import printable, shown
from ..broker import Job, Record
from ..broker.stats import Histogram
from ..settings.levels import NOTICE
from ..watch.limited_log import LimitedLog
from .errands import Errand, Errands
from .journal import MAX_CHANGES, Added, Changes, Journal, jobs_of, stored
from .rows import MAX_BYTES, MOST_COUNTED, Leaving, Rows

# Seconds that removals wait for further changes.
LINGER = 0.05

# Seconds between attempts while the back end fails: the first and the longest pause.
FIRST_PAUSE = 0.1
LAST_PAUSE = 5.0

# A failure divides the size of batches by SHRINK; a success multiplies it by GROW.
SHRINK = 16
GROW = 4

# How often in a row a store may report that it has lost jobs.
MAX_ATTEMPTS = 5

# Of rows of the inbox.
NONE_LEAVE = Leaving()

# Bytes of the text that a client gets about a refused job.
MAX_REASON = 400

# The text that clients get during an outage. The reason may name files and hosts, so it
# appears in the log only.
OUTAGE = b"The server cannot store jobs for now; its log says why"

log = logging.getLogger("gearman.server")


class Outcome(NamedTuple):
    """The outcome of adding `jobs`: they are durable, or refused with a `reason`.

    `lost` are the numbers of jobs that must be added again. `records` are the numbers
    of records with the same outcome as the jobs.
    """

    jobs: list[Job]
    reason: bytes = b""
    lost: Sequence[int] = ()
    records: Sequence[int] = ()


class Store:
    """Commits the changes of jobs to a queue plugin, in batches.

    `landed` is called in the writer's thread whenever there are new `outcomes`, or
    rows of the `inbox` that were read.
    """

    def __init__(
        self,
        queue: Queue,
        landed: Callable[[], None],
        inbox: Inbox | None = None,
    ) -> None:
        self._queue = queue
        self._inbox = inbox
        # The rows of the inbox; they have changes only if there is one.
        self.rows = Rows()
        self._landed = landed
        self._journal = Journal()
        # Protects the data of both threads. The bell is released to wake the writer.
        self._lock = threading.Lock()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._outcomes: list[Outcome] = []
        self._errands = Errands()
        self._lingers_until = 0.0
        self._closing = False
        # Whether the last commit is over, and nothing more is stored; and whether that
        # is so because another server owns the jobs.
        self._ended = self.fenced = False
        # During an outage: the text for clients, the reason, the time of the next
        # attempt (on the monotonic clock), and the pause before it.
        self._outage = b""
        self._reason = ""
        self._retry_at = 0.0
        self._pause = FIRST_PAUSE
        # The most changes of the next batch, whether that limit left changes out of the
        # last one, and how many changes the last failed batch had.
        self._most = MAX_CHANGES
        self._partial = False
        self._failed = 0
        # What was done since the start: jobs and records that were stored, removals,
        # how long commits took, and how often a commit has failed.
        self.stored = self.removed = self.failures = 0
        self.commits = Histogram()
        self._lines = LimitedLog()
        self._thread = threading.Thread(
            target=self._run, name="gearman-store", daemon=True
        )

    def start(self) -> None:
        if self._inbox is not None:
            self._inbox.listen(self._hint)
        self._thread.start()

    # -- from the event loop's thread

    @property
    def outage(self) -> bytes:
        """The text for clients while jobs can't be stored; empty if they can."""
        return self._outage

    @property
    def waiting(self) -> int:
        """How many changes wait for their commit."""
        return len(self._journal)

    @property
    def full(self) -> bool:
        """Whether so much waits that no more jobs should be submitted."""
        return self._journal.full

    def write(
        self, changes: Iterable[Job | int], records: Sequence[Record] = ()
    ) -> None:
        """Add jobs, and remove the jobs of these numbers, in order; and add records.

        After the last commit this does nothing: jobs stay in the store as they are,
        also if they end because their time is over.
        """
        with self._lock:
            if self._ended:
                return
            first = not self._journal
            if first:
                self._lingers_until = time.monotonic() + LINGER
            self._journal.write(changes)
            if records:
                self._journal.write_records(records)
            if first or self._journal.urgent:
                self._ring()

    def call(self, errand: Errand) -> None:
        """Have a function called in the writer's thread, after the changes so far."""
        with self._lock:
            self._errands.add(errand, len(self._journal))
            self._ring()

    @contextmanager
    def deciding(self) -> Iterator[Rows]:
        """A context in which the rows of the inbox can be changed."""
        with self._lock:
            yield self.rows
            # Rows that are attached leave with changes, which ring.
            if not self.rows.attached:
                self._ring()

    def outcomes(self) -> list[Outcome]:
        """Return the outcomes since the last call, in their order."""
        with self._lock:
            outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def close(self, timeout: float) -> bool:
        """Commit all waiting changes, and close the queue plugin.

        Returns False if that fails, or takes more than `timeout` seconds. Finished jobs
        may then run again after the next start.
        """
        with self._lock:
            self._closing = True
            self._ring()
        self._thread.join(timeout)
        return not self._thread.is_alive() and not self._journal

    def _hint(self) -> None:
        """Look into the inbox soon; called from any thread."""
        with self.deciding() as rows:
            rows.hint()

    def _ring(self) -> None:
        """Wake the writer, now or as soon as it wants to wait."""
        if self._bell.locked():
            self._bell.release()

    # -- in the writer's thread

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._closing and not self._journal and not self.rows.waiting:
                    self._ended = True
                if self._ended:
                    break
                due = self._due() or self._closing
                changes = self._journal.take(self._most) if due else {}
                self._errands.taken(len(changes))
                self._partial = self._most < MAX_CHANGES and bool(self._journal)
                patience = self._patience()
            if due:
                self._commit(changes)
            if not self._outage and (errand := self._errands.due()) is not None:
                self._carry_out(errand)
            elif self._inbox is not None and self._may_read():
                self._read(self._inbox)
            elif not due:
                self._bell.acquire(timeout=patience)
                continue
            if self._closing and self._outage and not self._due() and self._failed <= 1:
                break
        self._queue.close()

    def _due(self) -> bool:
        """Whether it is time to commit."""
        if self._outage:
            return time.monotonic() >= self._retry_at
        if self._journal.urgent or self.rows.waiting:
            return True
        late = bool(self._errands) or time.monotonic() >= self._lingers_until
        return bool(self._journal) and late

    def _patience(self) -> float:
        """Return the seconds until something is due, -1 if nothing is scheduled."""
        now = time.monotonic()
        delay = inf
        if self._outage:
            delay = self._retry_at - now
        elif self._journal:
            delay = self._lingers_until - now
        elif self._inbox is not None and not self._closing:
            delay = self.rows.delay(now)
        return -1 if delay == inf else max(delay, 0.0)

    def _may_read(self) -> bool:
        """Whether to read rows of the inbox now."""
        if self._outage or self._closing or self._journal.full:
            return False
        return self.rows.due(time.monotonic())

    def _carry_out(self, errand: Errand) -> None:
        try:
            errand(self._queue)
        except QueueError as error:
            return self._fail({}, str(error))
        with self._lock:
            self._errands.done()
        return self._landed()

    def _read(self, inbox: Inbox) -> None:
        """Read rows of the inbox, for the broker."""
        now = time.monotonic()
        with self._lock:
            self.rows.begin(now)
            most, without = self.rows.most, frozenset(self.rows.held)
        try:
            if self.rows.counting(now):
                self.rows.counted(now, inbox.count(MOST_COUNTED))
            found = inbox.take(most, MAX_BYTES, without)
        except QueueError as error:
            self.rows.counts.failed(time.time())
            self._warn("inbox", f"the inbox cannot be read: {error}")
        except Exception:
            log.exception("the queue plugin has a bug")
        else:
            with self._lock:
                self.rows.found(found)
            if found:
                self._landed()

    def _commit(self, changes: Changes) -> None:
        leaving = NONE_LEAVE
        if self._inbox is not None:
            with self._lock:
                leaving = self.rows.leaving(changes, self._most)
        try:
            self._try(changes, leaving)
        except JobRefused as error:
            self._refuse(changes, error.reasons)
        except Fenced as error:
            self._give_up(changes, str(error))
        except QueueError as error:
            self._fail(changes, str(error), leaving.size)
        except Exception as error:
            log.exception("the queue plugin has a bug")
            reason = f"the queue plugin failed: {type(error).__name__}: {error}"
            self._fail(changes, reason, leaving.size)
        else:
            if leaving.size:
                with self._lock:
                    self.rows.left(leaving, changes)
                for row, reason in leaving.refused.items():
                    text = f"row {row} of the inbox is no job: {reason}"
                    self._warn("inbox row", text)
            self._succeed(changes, leaving.size)

    def _try(self, changes: Changes, leaving: Leaving = NONE_LEAVE) -> None:
        """Commit; if that fails, try once more: an idle connection may be broken."""
        added = [stored(job) for job in jobs_of(changes)]
        done = [number for number, job in changes.items() if job is None]
        patience = 0 if self._outage else 1
        for _ in range(MAX_ATTEMPTS):
            began = time.monotonic()
            try:
                if self._inbox is not None and leaving.size:
                    self._inbox.commit(added, done, *leaving)
                else:
                    self._queue.commit(added, done)
                return self.commits.add(time.monotonic() - began)
            except (JobRefused, Fenced):
                raise
            except JobsLost as error:
                log.warning("jobs have to be stored again: %s", error)
                self._report(Outcome([], lost=error.numbers))
            except QueueError as error:
                if not patience:
                    raise
                patience -= 1
                log.info("storing jobs failed, and is tried again: %s", error)
        raise QueueError("the store loses jobs again and again")

    def _refuse(self, changes: Changes, reasons: dict[int, str]) -> None:
        """Report the jobs that can't be stored, and commit the rest."""
        refused = {n: job for n, job in changes.items() if job and n in reasons}
        if not refused:
            return self._fail(changes, "the queue plugin refused jobs it was not given")
        rest = {n: job for n, job in changes.items() if n not in refused}
        for number, job in refused.items():
            line = f"job {shown(job.handle)} cannot be stored: {reasons[number]}"
            self._warn("refused", line)
            if isinstance(job, Record):
                # It stays in memory. What it should replace has ended.
                rest[number] = None
                self._report(Outcome([], records=[number]))
            else:
                self._report(Outcome([job], _reason(reasons[number])))
        return self._commit(rest)

    def _warn(self, kind: str, line: str) -> None:
        """Log a line, unless there were many of its kind."""
        if limited := self._lines.line(kind, line, time.monotonic()):
            log.warning("%s", limited)

    def _succeed(self, changes: Changes, rows: int = 0) -> None:
        added = jobs_of(changes)
        self.stored += len(added)
        self.removed += len(changes) - len(added)
        self._most = min(self._most * GROW, MAX_CHANGES)
        self._pause = FIRST_PAUSE
        if self._outage and self._partial:
            # A part of the failed changes was stored; try more of them now.
            self._retry_at = 0.0
        elif self._outage and (changes or rows) and not self._takes_jobs():
            self._retry_at = time.monotonic() + self._pause
        elif self._outage:
            log.log(NOTICE, "jobs can be stored again")
            self._outage = b""
        with self._lock:
            self._journal.landed()
            self._errands.committed()
        self._report(self._outcome(added))

    def _takes_jobs(self) -> bool:
        """Whether jobs can be added again, now that removals have worked."""
        with suppress(Exception):
            self._try({})
            return True
        return False

    def _fail(self, changes: Changes, reason: str, rows: int = 0) -> None:
        self.failures += 1
        if not self._outage:
            log.error("jobs cannot be stored for now: %s", reason)
        elif reason != self._reason:
            log.error("jobs still cannot be stored: %s", reason)
        self._reason = reason
        self._outage = OUTAGE
        self._failed = len(changes) + rows
        self._most = max(min(self._most, self._failed) // SHRINK, 1)
        self._retry_at = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LAST_PAUSE)
        with self._lock:
            self._journal.landed()
            self._journal.put_back(changes)
            jobs = jobs_of(changes) + self._journal.drop_jobs()
            self._errands.failed(len(self._journal))
        self._report(self._outcome(jobs, self._outage))

    def _give_up(self, changes: Changes, reason: str) -> None:
        """Store nothing any more: these jobs are those of another server."""
        with self._lock:
            left = len(changes) + len(self._journal)
            self._journal = Journal()
            self._ended = self.fenced = True
        log.error("%d changes of jobs are not stored: %s", left, reason)
        self._landed()

    def _outcome(self, added: list[Added], reason: bytes = b"") -> Outcome:
        if not self._journal.mixed:
            return Outcome(cast("list[Job]", added), reason)
        jobs = [each for each in added if isinstance(each, Job)]
        records = [each.number for each in added if isinstance(each, Record)]
        return Outcome(jobs, reason, (), records)

    def _report(self, outcome: Outcome) -> None:
        with self._lock:
            self._outcomes.append(outcome)
        self._landed()


def _reason(text: str) -> bytes:
    return printable(text.encode(errors="replace"))[:MAX_REASON]
