"""Rows of an inbox that were read: what becomes of them, and when to read more.

Rows are read some at a time, and no more are read before all of them are jobs, removed,
refused, or left alone for now. So which rows to read does not depend on what was read
before, and no row is passed over because its transaction ended late.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from ...queue import InboxRow

# Rows that are read at a time, at most and at least, and the bytes of their workloads.
MOST: Final = 4096
FEW: Final = 64
MAX_BYTES: Final = 16 * 1024 * 1024

# How often the rows that wait are counted, in seconds, and up to which number.
COUNTING: Final = 5.0
MOST_COUNTED: Final = 100_000

# Seconds between two looks while nothing comes; and the first pause for functions, or a
# server, with as many jobs as a limit allows.
IDLE: Final = 1.0
FIRST_PAUSE: Final = 0.1


@dataclass(slots=True)
class Counts:
    """What has happened to rows since the start.

    Those that were `taken` became jobs, or joined one. `waiting` is how many there were
    when they were last counted (MOST_COUNTED for more), None before that. Reading has
    failed so often, the last time at `failed_at`, and is `failing` if it was not read
    since.
    """

    taken: int = 0
    refused: int = 0
    waiting: int | None = None
    failures: int = 0
    failing: bool = False
    failed_at: float | None = None

    def failed(self, time: float) -> None:
        self.failures += 1
        self.failing, self.failed_at = True, round(time, 3)


class Leaving(NamedTuple):
    """Rows that leave the inbox with a commit: removed, or refused with a reason."""

    taken: Sequence[int] = ()
    refused: Mapping[int, str] = {}

    @property
    def size(self) -> int:
        """How many rows they are."""
        return len(self.taken) + len(self.refused)


class Rows:
    """The rows of an inbox that were read; times are those of one clock, in seconds.

    `attached` has the ids of rows by the number of their job: they leave with the next
    change of that job. `most` is how many to read next, `held` are functions whose
    rows are to be left alone.
    """

    def __init__(self) -> None:
        self.attached: dict[int, list[int]] = {}
        self.most = MOST
        self.held: set[bytes] = set()
        self._read: Sequence[InboxRow] = ()
        # Rows that leave with the next commit, whatever it stores: the reasons why they
        # were refused, "" for those that were taken.
        self._finished: dict[int, str] = {}
        self._look_at = 0.0
        self._held_until = inf
        self._pause = FIRST_PAUSE
        self._idle = False
        # Whether rows were read, and the broker has not decided on all of them.
        self._deciding = False
        # Whether no more rows are read.
        self.stopped = False
        self.counts = Counts()
        self._count_at = 0.0

    # -- reading

    def due(self, now: float) -> bool:
        """Whether to read rows now."""
        return self.delay(now) <= 0

    def delay(self, now: float) -> float:
        """Return in how many seconds to read rows; inf if others must leave first."""
        if self.stopped or self._deciding or self.attached or self._finished:
            return inf
        return self._look_at - now

    def hint(self) -> None:
        """Read soon, since there may be new rows."""
        if self._idle:
            self._look_at = 0.0

    def begin(self, now: float) -> None:
        """Note that rows are about to be read."""
        if now >= self._held_until:
            self.held.clear()
            self._held_until = inf
        self._look_at = min(now + IDLE, self._held_until)
        self._idle = True

    def counting(self, now: float) -> bool:
        """Whether it is time to count the rows that wait."""
        return now >= self._count_at

    def counted(self, now: float, waiting: int) -> None:
        """Note how many rows wait."""
        self.counts.waiting = waiting
        self._count_at = now + COUNTING

    def found(self, rows: Sequence[InboxRow]) -> None:
        """Note the rows that were read."""
        self.counts.failing = False
        if rows:
            self._read = rows
            self._deciding = True
            self._idle = False

    def take(self) -> Sequence[InboxRow]:
        """Return the rows that were read, for the broker, and forget them."""
        rows, self._read = self._read, ()
        return rows

    # -- what the broker has decided

    def attach(self, number: int, row: int) -> None:
        """Let a row leave with the next change of a job."""
        self.attached.setdefault(number, []).append(row)

    def finish(self, rows: Iterable[int], reason: str = "") -> None:
        """Let rows leave with the next commit, refused if there is a reason."""
        self._finished.update(dict.fromkeys(rows, reason))

    def detach(self, number: int, reason: str = "") -> None:
        """Let the rows of a job leave with the next commit of anything."""
        self.finish(self.attached.pop(number, ()), reason)

    def decided(self, now: float, taken: int, full: bool, held: set[bytes]) -> None:
        """Note that all rows that were read have got a decision.

        So many were `taken` or refused. The rest is left alone for now: rows of the
        functions `held`, or all others if the server is `full`.
        """
        self._deciding = False
        self.most = min(MOST, 2 * taken + FEW)
        self._look_at = 0.0
        if taken:
            self._pause = FIRST_PAUSE
        if full or held:
            until, self._pause = now + self._pause, min(self._pause * 2, IDLE)
            self._look_at = until if full else 0.0
            self.held |= held
            self._held_until = min(self._held_until, until)

    # -- commits

    @property
    def waiting(self) -> bool:
        """Whether rows wait for a commit of anything."""
        return bool(self._finished)

    def leaving(self, numbers: Collection[int], most: int) -> Leaving:
        """Return what leaves with a commit of changes of these jobs.

        Of the rows that leave with any commit, these are `most` at most.
        """
        taken: list[int] = []
        refused: dict[int, str] = {}
        if self.attached:
            for number in numbers:
                taken += self.attached.get(number, ())
        for row, reason in self._finished.items():
            if most <= 0:
                break
            most -= 1
            if reason:
                refused[row] = reason
            else:
                taken.append(row)
        return Leaving(taken, refused)

    def left(self, leaving: Leaving, numbers: Collection[int]) -> None:
        """Forget rows that have left with a commit of changes of these jobs."""
        self.counts.taken += len(leaving.taken)
        self.counts.refused += len(leaving.refused)
        gone = {*leaving.taken, *leaving.refused}
        for row in gone:
            self._finished.pop(row, None)
        if self.attached:
            for number in numbers:
                rows = self.attached.pop(number, None)
                if rows is not None:
                    # A row may have been attached since the commit began.
                    self.finish(row for row in rows if row not in gone)
