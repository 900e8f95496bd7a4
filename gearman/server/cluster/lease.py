"""What a server of a cluster does about leases: no I/O.

Each server that has joined has a lease, which it renews again and again. The others
look at it, and the first one that finds it over buries the server. The database decides
who does: a commit of a server that was buried fails. The clocks here only say when to
ask the database, and when to stop handing out jobs.

Times are in seconds of a clock that is never set, such as the monotonic one. A request
counts from when it was sent, so that a server always stops before another one may
begin.
"""

from collections.abc import Iterable
from enum import IntEnum
from math import inf
from typing import Final

from ...queue import Member

# Parts of the lease's time: between two renewals, between two looks at the others, and
# after a failure; and for how long no shard moves after a server came or went. And the
# longest time between two looks.
RENEWALS: Final = 5
LOOKS: Final = 10
REPEATS: Final = 20
CALM: Final = 2
LONGEST_LOOK: Final = 1.0


class State(IntEnum):
    """This server has not joined; it has; its time is over, but perhaps nobody has
    buried it; it was buried, and must give up its jobs.
    """

    OUTSIDE = 0
    MEMBER = 1
    IN_DOUBT = 2
    LOST = 3


class Event(IntEnum):
    """The database gave it a lease, renewed it, or refused to; time is over without a
    renewal; the server has given up its jobs, or left.
    """

    JOINED = 0
    RENEWED = 1
    REFUSED = 2
    LATE = 3
    GIVEN_UP = 4


# For each event, the states from which and to which it moves.
MOVES: Final = {
    Event.JOINED: {State.OUTSIDE: State.MEMBER},
    Event.RENEWED: {State.MEMBER: State.MEMBER, State.IN_DOUBT: State.MEMBER},
    Event.REFUSED: {State.MEMBER: State.LOST, State.IN_DOUBT: State.LOST},
    Event.LATE: {State.MEMBER: State.IN_DOUBT},
    Event.GIVEN_UP: {
        State.MEMBER: State.OUTSIDE,
        State.IN_DOUBT: State.OUTSIDE,
        State.LOST: State.OUTSIDE,
    },
}


class Claimant:
    """A server that wants a lease, or has it. The lease lasts `seconds`.

    As long as it is before `until`, it may hand out stored jobs.
    """

    def __init__(self, seconds: float) -> None:
        self.state = State.OUTSIDE
        self.until = -inf
        self._seconds = seconds
        # When to renew the lease, and to look at the others; and when to ask at all.
        self._renewal = self._look = -inf
        self._pause = -inf

    def delay(self, now: float) -> float:
        """Return in how many seconds to ask the database; inf if it must not."""
        if self.state == State.LOST:
            return inf
        return max(min(self._renewal, self._look) - now, self._pause - now, 0.0)

    def renews(self, now: float) -> bool:
        """Whether to renew the lease now."""
        return self._renewal <= now

    # -- what the database has answered, to a request that was `sent` at that time

    def joined(self, sent: float) -> None:
        self._move(Event.JOINED)
        self._has_lease(sent)

    def renewed(self, sent: float) -> None:
        self._move(Event.RENEWED)
        self._has_lease(sent)

    def _has_lease(self, sent: float) -> None:
        self.until = sent + self._seconds
        self._renewal = sent + self._seconds / RENEWALS

    def looked(self, now: float) -> None:
        self._look = now + min(self._seconds / LOOKS, LONGEST_LOOK)

    def refused(self) -> None:
        """Another server has buried this one."""
        self._move(Event.REFUSED)
        self.until = -inf

    def failed(self, now: float) -> None:
        """The database has given no answer."""
        if self.state == State.MEMBER and now >= self.until:
            self._move(Event.LATE)
        self._pause = now + self._seconds / REPEATS

    # -- what the server wants, or has done

    def hurry(self) -> None:
        """Look at the others at once."""
        self._look = -inf

    def gave_up(self, now: float, pause: float = 0.0) -> None:
        """Begin again, after the jobs were given up; do not join for a `pause`."""
        self._move(Event.GIVEN_UP)
        self.until = self._renewal = self._look = -inf
        self._pause = now + pause

    def _move(self, event: Event) -> None:
        self.state = MOVES[event][self.state]


class Neighbours:
    """The other servers of a cluster, as they were seen again and again.

    It is `calm` when none has come, gone or begun to drain for some time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # By the id of a server, how often it had renewed its lease, and since when.
        self._seen: dict[int, tuple[int, float]] = {}
        self._changed = -inf

    def silent(self, now: float, members: Iterable[Member]) -> list[Member]:
        """Return the servers whose lease is over, after a look at all of them.

        This is so if the database says so, or if a lease was not renewed for its whole
        time. The latter counts if the clock of the database was set back, or if another
        database with another clock has taken the place of the first one.
        """
        seen: dict[int, tuple[int, float]] = {}
        found: list[Member] = []
        for member in members:
            renewals, since = self._seen.get(member.id, (-1, now))
            if renewals != member.renewals:
                since = now
            seen[member.id] = member.renewals, since
            if member.over or now - since >= self._seconds:
                found.append(member)
        if seen.keys() != self._seen.keys():
            self._changed = now
        self._seen = seen
        return found

    def calm(self, now: float) -> bool:
        return now - self._changed >= self._seconds / CALM
