"""Turns: everything that arrives in one round of the event loop is handled together."""

import asyncio
import time
from collections.abc import Callable
from math import inf
from typing import Final

from ..broker import Broker, Peer

# Seconds for which the requests of one connection are carried out in a turn, and those
# of all together, if that is less; what is at work then is ended. The engine has times
# of its own.
ALLOWANCE: Final = 0.001
ALLOWANCE_OF_ALL: Final = 0.005


class Turns:
    """Tells the broker the time, and calls `end` once after each turn."""

    def __init__(
        self,
        broker: Broker,
        loop: asyncio.AbstractEventLoop,
        end: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._loop = loop
        # The event loop's clock, without the detour by its method.
        self._time = time.monotonic
        self._after = end
        self._begun = False
        # How many had something to carry out in this turn; for how many seconds each of
        # them may, and until when the one that is at work.
        self._at_work = 0
        self._allowance = ALLOWANCE
        self._allowed = inf

    def begin(self) -> None:
        """Begin a turn, unless one has begun, and see to it that it ends.

        Each connection calls this before it carries something out.
        """
        now = self._time()
        self._at_work += 1
        self._allowed = now + self._allowance
        if not self._begun:
            self._begun = True
            self._broker.tick(now, time.time())
            self._loop.call_soon(self._end)

    def late(self) -> bool:
        """Whether a connection should leave the rest to a later turn."""
        return self._time() > self._allowed

    def touch(self, peer: Peer) -> None:
        """Have a peer's connection flushed once more, in another turn."""
        self.begin()
        self._broker.touched.append(peer)

    def _end(self) -> None:
        self._begun = False
        self._broker.tick(self._time(), time.time())
        self._allowance = min(ALLOWANCE, ALLOWANCE_OF_ALL / max(self._at_work, 1))
        self._at_work = 0
        self._after()
