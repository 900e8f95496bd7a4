"""What a server of a cluster does about the lease: no I/O.

A store has one lease, and the server that has it owns the jobs. It renews the lease
again and again; the others look at it, and the first one that finds it over claims it.
The database decides who gets it: a commit of a server that has lost it fails. The
clocks here only say when to ask the database, and when to stop handing out jobs.

Times are in seconds of a clock that is never set, such as the monotonic one. A request
counts from when it was sent, so that a server always stops before another one may
begin.
"""

from enum import IntEnum
from math import inf
from typing import Final

from ...queue import Holder

# Parts of the lease's time: between two renewals, between two looks at the lease of
# another server, and after a failure. And the longest time between two looks.
RENEWALS: Final = 5
LOOKS: Final = 10
REPEATS: Final = 20
LONGEST_LOOK: Final = 1.0


class State(IntEnum):
    """Another server owns the jobs, or nobody does; this one does; its time is over,
    but perhaps nobody has claimed the lease; another one has it, and this one must give
    up the jobs.
    """

    STANDING_BY = 0
    OWNER = 1
    IN_DOUBT = 2
    LOST = 3


class Event(IntEnum):
    """The database gave it the lease, renewed it, or refused to; time is over without a
    renewal; the server has given up the jobs, or the lease.
    """

    CLAIMED = 0
    RENEWED = 1
    REFUSED = 2
    LATE = 3
    GIVEN_UP = 4


# For each event, the states from which and to which it moves.
MOVES: Final = {
    Event.CLAIMED: {State.STANDING_BY: State.OWNER},
    Event.RENEWED: {State.OWNER: State.OWNER, State.IN_DOUBT: State.OWNER},
    Event.REFUSED: {State.OWNER: State.LOST, State.IN_DOUBT: State.LOST},
    Event.LATE: {State.OWNER: State.IN_DOUBT},
    Event.GIVEN_UP: {
        State.OWNER: State.STANDING_BY,
        State.IN_DOUBT: State.STANDING_BY,
        State.LOST: State.STANDING_BY,
    },
}


class Claimant:
    """A server that wants the lease, or has it. The lease lasts `seconds`.

    As long as it is before `until`, it may hand out stored jobs.
    """

    def __init__(self, seconds: float) -> None:
        self.state = State.STANDING_BY
        self.until = -inf
        self._seconds = seconds
        # When to ask the database next.
        self._next = -inf
        # What another server's lease looked like, and since when.
        self._seen: tuple[int, int] | None = None
        self._since = inf

    def delay(self, now: float) -> float:
        """Return in how many seconds to ask the database; inf if it must not."""
        return inf if self.state == State.LOST else max(self._next - now, 0.0)

    # -- what the database has answered, to a request that was `sent` at that time

    def may_claim(self, now: float, holder: Holder | None) -> bool:
        """Whether to claim the lease, after a look at it that was answered `now`.

        This is so if the database says that it is over, or if it was not renewed for
        its whole time. The latter counts if the clock of the database was set back, or
        if another database with another clock has taken the place of the first one.
        """
        self._next = now + min(self._seconds / LOOKS, LONGEST_LOOK)
        seen = None if holder is None else (holder.id, holder.renewals)
        if seen != self._seen:
            self._seen, self._since = seen, now
        return holder is None or holder.over or now - self._since >= self._seconds

    def claimed(self, sent: float) -> None:
        self._move(Event.CLAIMED)
        self._seen = None
        self._has_lease(sent)

    def renewed(self, sent: float) -> None:
        self._move(Event.RENEWED)
        self._has_lease(sent)

    def _has_lease(self, sent: float) -> None:
        self.until = sent + self._seconds
        self._next = sent + self._seconds / RENEWALS

    def refused(self) -> None:
        """Another server has the lease."""
        self._move(Event.REFUSED)
        self.until = -inf

    def failed(self, now: float) -> None:
        """The database has given no answer."""
        if self.state == State.OWNER and now >= self.until:
            self._move(Event.LATE)
        self._next = now + self._seconds / REPEATS

    # -- what the server has done

    def gave_up(self, now: float, pause: float = 0.0) -> None:
        """Stand by again, after the jobs were given up; do not claim for a `pause`."""
        self._move(Event.GIVEN_UP)
        self.until = -inf
        self._next = now + pause

    def _move(self, event: Event) -> None:
        self.state = MOVES[event][self.state]
