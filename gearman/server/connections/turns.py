"""Turns: all input of one round of the event loop is handled together.

A connection that has not carried out all of its requests, or made all of its answer,
goes on in a later turn. Input of others that has come meanwhile is answered before.
"""

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
        # What goes on in a later turn; whether this is scheduled, and whether a turn
        # with input of others was already let pass.
        self._put_off: list[Callable[[], None]] = []
        self._scheduled = self._passed = False

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

    def half_late(self) -> bool:
        """Whether the current connection should leave the rest of an answer.

        That is so after half of the time of requests: others wait for it in vain.
        """
        return self._time() > self._until - self._allowance / 2

    def put_off(self, go_on: Callable[[], None]) -> None:
        """Call a function after this turn, when its output was written."""
        self._put_off.append(go_on)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._go_on)

    def touch(self, peer: Peer) -> None:
        """Have a peer's connection flushed again, at the end of a turn."""
        self.begin()
        self._broker.touched.append(peer)

    def _end(self) -> None:
        self._begun = False
        self._allowance = min(ALLOWANCE, ALLOWANCE_OF_ALL / max(self._active, 1))
        self._active = 0
        self._end_of_turn()

    def _go_on(self) -> None:
        """Call what was put off."""
        if self._begun and not self._passed:
            # The end of this turn is next in the event loop. Only one turn goes first:
            # there may always be input.
            self._passed = True
            self._loop.call_soon(self._go_on)
            return
        self._scheduled = self._passed = False
        functions, self._put_off = self._put_off, []
        self._allowance = min(ALLOWANCE, ALLOWANCE_OF_ALL / len(functions))
        for go_on in functions:
            go_on()
