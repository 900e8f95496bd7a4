"""Which server of a cluster owns which shard, and what this one does with its own.

A shard is FOREIGN until the database says that this server owns it. Then its jobs are
LOADING, and when that is done it is SERVED: jobs are handed out, and new ones get its
numbers. While it is LEAVING, no new job gets its numbers, and jobs are left to the next
owner as soon as nobody needs them here. At last it is given away, unless jobs are still
needed: then it is loaded again.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from enum import IntEnum
from typing import Final

from ...queue import NOBODY, Member, Roll, Shard
from .home import SHARDS


class State(IntEnum):
    """What this server does with a shard."""

    FOREIGN = 0
    LOADING = 1
    SERVED = 2
    LEAVING = 3


class Event(IntEnum):
    """The database says that the shard is of this server; its jobs are loaded; it
    should leave; it could not leave, and stays; the database says that another server
    has it; this server was buried.
    """

    GAINED = 0
    LOADED = 1
    LEAVES = 2
    STAYS = 3
    GIVEN = 4
    LOST = 5


# For each event, the states from which and to which it moves a shard.
MOVES: Final = {
    Event.GAINED: {State.FOREIGN: State.LOADING},
    Event.LOADED: {State.LOADING: State.SERVED},
    Event.LEAVES: {State.SERVED: State.LEAVING},
    Event.STAYS: {State.LEAVING: State.LOADING},
    Event.GIVEN: {State.LEAVING: State.FOREIGN},
    Event.LOST: dict.fromkeys(State, State.FOREIGN),
}


class Map:
    """The servers of a cluster and their shards, as the database has shown them last.

    `me` is the id of this server; it changes when this server joins again. `listeners`
    are called after each change.
    """

    def __init__(self) -> None:
        self.me = NOBODY
        self.states = [State.FOREIGN] * SHARDS
        self.listeners: list[Callable[[], None]] = []
        self._members: Mapping[int, Member] = {}
        # The highest epoch of all servers that were seen.
        self._newest = 0
        self._shards: tuple[Shard, ...] = (Shard(NOBODY, 0, 0),) * SHARDS

    def owner(self, shard: int) -> int:
        """Return the id of the server that owns a shard, 0 if nobody does."""
        return self._shards[shard].server

    def owners(self) -> list[int]:
        return [shard.server for shard in self._shards]

    def epoch(self, shard: int) -> int:
        """Return how often the owner of a shard has changed."""
        return self._shards[shard].epoch

    def members(self) -> Mapping[int, Member]:
        """Return the servers by their ids."""
        return self._members

    def has_left(self, server: int, epoch: int) -> bool:
        """Whether a server that has joined is no member any more.

        One that is not seen, and has joined before another one that was, has been seen
        or has left before. A later one may not be known here yet.
        """
        return server not in self._members and epoch <= self._newest

    def mine(self) -> frozenset[int]:
        """Return the shards that this server owns."""
        return self._of(State.LOADING, State.SERVED, State.LEAVING)

    def served(self) -> frozenset[int]:
        """Return the shards whose numbers new jobs may get."""
        return self._of(State.SERVED)

    def leaving(self) -> frozenset[int]:
        """Return the shards that this server wants to give away."""
        return self._of(State.LEAVING)

    def _of(self, *states: State) -> frozenset[int]:
        return frozenset(
            shard for shard, state in enumerate(self.states) if state in states
        )

    def first_number(self, shards: AbstractSet[int]) -> int:
        """Return the first number that is new in all of these shards."""
        return max((self._shards[shard].first_number for shard in shards), default=0)

    def see(self, roll: Roll) -> frozenset[int]:
        """Note what the database shows, and return the shards that are new here."""
        before = self._shards, _known(self._members)
        self._shards = roll.shards
        self._members = {member.id: member for member in roll.members}
        epochs = [member.epoch for member in roll.members]
        self._newest = max([self._newest, *epochs])
        mine = {shard for shard in range(SHARDS) if self.owner(shard) == self.me}
        gained = frozenset(mine - self.mine())
        given = self.leaving() - mine
        self._change(Event.GAINED, gained)
        self._change(Event.GIVEN, given)
        if gained or (self._shards, _known(self._members)) != before:
            self._tell()
        return gained

    def stolen(self) -> frozenset[int]:
        """Return the shards that others own, without a gift of this server."""
        return frozenset(s for s in self.mine() if self.owner(s) != self.me)

    def change(self, event: Event, shards: AbstractSet[int]) -> None:
        """Note what has happened to shards."""
        self._change(event, shards)
        self._tell()

    def _change(self, event: Event, shards: AbstractSet[int]) -> None:
        for shard in shards:
            self.states[shard] = MOVES[event][self.states[shard]]

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()

    def leave(self) -> None:
        """Note that this server owns nothing any more."""
        self.me = NOBODY
        self.change(Event.LOST, frozenset(range(SHARDS)))


def _known(members: Mapping[int, Member]) -> set[tuple[int, bool]]:
    """Return what others want to know of servers: who is there, and who drains."""
    return {(member.id, member.draining) for member in members.values()}
