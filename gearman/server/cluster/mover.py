"""Moves shards to and from this server while it serves.

A shard that should go to another server leaves when its jobs allow it: none of them
runs, is awaited by a client or by another job, or waits for another job. If that takes
long, the shard stays for some time, but for that of a server that drains.
"""

import logging
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from math import inf
from typing import Final

from ...queue import NOBODY
from ..broker import Broker
from ..settings.levels import NOTICE
from ..storage.durability import Durability
from .balance import MOST, moves, targets
from .keeper import Keeper
from .shards import Event, Map, State

# Parts of the lease's time: how long a shard may need to leave. And how many times as
# long it stays if it needs longer.
GRACE: Final = 2
STAY: Final = 10

log = logging.getLogger("gearman.server")


class Mover:
    """Does what the keeper of a lease has learnt about shards.

    `alone` is called when the server drains, and all is left that others can take.
    `ask` is called with new shards before their jobs are loaded, and with what to do
    when it is known which of these run at other servers.
    """

    def __init__(
        self,
        map: Map,
        keeper: Keeper,
        broker: Broker,
        durability: Durability,
        lease: float,
        alone: Callable[[], None],
        ask: Callable[[frozenset[int], Callable[[], None]], None],
    ) -> None:
        self._map = map
        self._keeper = keeper
        self._broker = broker
        self._durability = durability
        self._grace = lease / GRACE
        self._alone = alone
        self._ask = ask
        self._draining = self._finished = False
        # Since when shards leave, and until when busy ones stay; and those that are
        # being given away.
        self._leaving: dict[int, float] = {}
        self._busy: dict[int, float] = {}
        self._given: frozenset[int] = frozenset()
        self._quiet_until = -inf

    def drain(self) -> None:
        """Give all shards away, as soon as that is possible."""
        self._draining = True
        self._keeper.drain()

    def look(self) -> bool:
        """Note what the keeper has seen. Returns False if all is lost."""
        giving = self._keeper.giving
        roll = self._keeper.roll
        if roll is None:
            return True
        gained = self._map.see(roll)
        if self._map.stolen():
            return False
        if gained:
            self._ask(gained, partial(self._load, gained, "took over"))
        if not giving:
            self._end_gifts()
            if not self._finished:
                self._begin()
        self._durability.go_on()
        if not giving:
            self._give(self._durability.moving.clear())
        return True

    def _load(self, shards: frozenset[int], what: str, level: int = NOTICE) -> None:
        jobs = self._broker.jobs
        first = self._map.first_number(shards)
        jobs.next_number = max(jobs.next_number, first)

        def loaded(count: int, seconds: float) -> None:
            self._map.change(Event.LOADED, shards)
            self._durability.own(self._map.served())
            if 0 in shards:
                self._broker.stored.restored()
            text = "%s %d shards with %d jobs in %.1f seconds"
            log.log(level, text, what, len(shards), count, seconds)

        self._durability.moving.load(shards, loaded)
        self._durability.go_on()

    def _end_gifts(self) -> None:
        """Note which shards others have now; take back what could not be given."""
        gone = self._leaving.keys() - self._map.leaving()
        if gone:
            log.log(NOTICE, "gave %d shards away", len(gone))
        for shard in gone:
            del self._leaving[shard]
        self._stay(self._given & self._map.leaving())
        self._given = frozenset()
        now = time.monotonic()
        if not self._draining:
            late = {
                s for s, since in self._leaving.items() if now - since > self._grace
            }
            for shard in late:
                self._busy[shard] = now + self._grace * STAY
            self._stay(late)

    def _stay(self, shards: AbstractSet[int]) -> None:
        if not shards:
            return
        for shard in shards:
            del self._leaving[shard]
        self._durability.moving.stay(shards)
        self._map.change(Event.STAYS, shards)
        # A server whose jobs run for long would tell this again and again.
        now = time.monotonic()
        level = NOTICE if now >= self._quiet_until else logging.INFO
        if level == NOTICE:
            self._quiet_until = now + self._grace * STAY
        self._load(frozenset(shards), "kept", level)

    def _begin(self) -> None:
        """Let shards leave that should be elsewhere."""
        keeper, found = self._keeper, self._map
        if self._draining and not self._others():
            return self._finish()
        # What does not leave at once would be out of service without the database: it
        # can neither be given away nor be loaded again.
        if not (keeper.calm and keeper.answers or self._draining):
            return None
        now = time.monotonic()
        self._busy = {s: until for s, until in self._busy.items() if until > now}
        room = MOST - sum(
            now - since <= self._grace for since in self._leaving.values()
        )
        wanted = [
            move.shard
            for move in moves(found.owners(), found.members(), self._busy.keys())
            if move.giver == found.me
            and found.states[move.shard] == State.SERVED
            and move.shard not in self._busy
        ][: max(room, 0)]
        if wanted:
            self._leave(frozenset(wanted), now)
        return None

    def _others(self) -> bool:
        """Whether there is anything to give, and somebody to take it."""
        found = self._map
        takers = (member for member in found.members().values() if not member.draining)
        return bool(found.mine()) and any(takers)

    def _finish(self) -> None:
        """Let the server end when its own jobs have ended."""
        self._finished = True
        self._alone()

    def _leave(self, shards: frozenset[int], now: float) -> None:
        self._map.change(Event.LEAVES, shards)
        self._durability.own(self._map.served())
        self._durability.moving.leave(shards)
        self._leaving.update(dict.fromkeys(shards, now))

    def _give(self, shards: frozenset[int]) -> None:
        """Give shards to those that should have them by now."""
        if not shards:
            return
        found = self._map
        wanted = targets(found.owners(), found.members(), self._busy.keys())
        gift: dict[int, set[int]] = {}
        for shard in shards:
            if wanted[shard] not in (found.me, NOBODY):
                gift.setdefault(wanted[shard], set()).add(shard)
        self._given = shards
        self._keeper.give(gift, self._broker.jobs.next_number)
