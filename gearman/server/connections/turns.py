"""Turns: all input of one round of the event loop is handled together."""

import asyncio
import time
from collections.abc import Callable
from math import inf
from typing import Final

from ..broker import Broker, Peer

# Seconds that the requests of one connection may take in a turn, and those of all
# connections together; the smaller one counts. A request that has begun is completed.
# The engine has times of its own.
ALLOWANCE: Final = 0.001
ALLOWANCE_OF_ALL: Final = 0.005


class Turns:
    """Sets the broker's clock as each turn begins, and calls `end` after each turn."""

    def __init__(
        self,
        broker: Broker,
        loop: asyncio.AbstractEventLoop,
        end: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._loop = loop
        # The event loop's clock, called directly.
        self._time = time.monotonic
        self._end_of_turn = end
        self._begun = False
        # How many connections have carried out requests in this turn; the seconds that
        # each may take; and the end of the current one's time.
        self._active = 0
        self._allowance = ALLOWANCE
        self._until = inf

    def begin(self) -> None:
        """Begin a turn, unless one has begun, and schedule its end.

        Each connection calls this before it carries out requests.
        """
        now = self._time()
        self._active += 1
        self._until = now + self._allowance
        if not self._begun:
            self._begun = True
            self._broker.tick(now, time.time())
            self._loop.call_soon(self._end)

    def late(self) -> bool:
        """Whether the current connection should leave its rest to a later turn."""
        return self._time() > self._until

    def touch(self, peer: Peer) -> None:
        """Have a peer's connection flushed again, at the end of a turn."""
        self.begin()
        self._broker.touched.append(peer)

    def _end(self) -> None:
        self._begun = False
        self._allowance = min(ALLOWANCE, ALLOWANCE_OF_ALL / max(self._active, 1))
        self._active = 0
        self._end_of_turn()
