"""What is done for connections now and then, rather than in each turn."""

import asyncio
import gc
from collections.abc import Callable
from typing import Protocol

# Seconds between two looks at connections that may have stalled.
WATCH_INTERVAL = 1.0

# Seconds after the end of a connection until what is left of it is cleared away, with
# all others that end meanwhile.
TIDY_INTERVAL = 60.0


class Watched(Protocol):
    """What may stall."""

    def check(self, now: float) -> bool:
        """Close it if it stalls. Returns whether to look at it again."""


class Watchdog:
    """Watches connections that may stall, and clears away those that have ended.

    `interrupt` has the event loop look at what was just scheduled. The collector of
    cycles is left alone while it would have too much to look through: `light` says
    whether it hasn't.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interrupt: Callable[[], None],
        light: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._interrupt = interrupt
        self._light = light
        self._watched: set[Watched] = set()
        self._watcher: asyncio.TimerHandle | None = None
        self._tidier: asyncio.TimerHandle | None = None

    def watch(self, connection: Watched) -> None:
        """Look at a connection now and then until it no longer might stall."""
        self._watched.add(connection)
        if self._watcher is None:
            self._watcher = self._loop.call_later(WATCH_INTERVAL, self._look)
            self._interrupt()

    def ended(self, connection: Watched) -> None:
        """Forget a connection, and see to it that it is freed."""
        self._watched.discard(connection)
        if self._tidier is None:
            self._tidier = self._loop.call_later(TIDY_INTERVAL, self.tidy)
            self._interrupt()

    def tidy(self) -> None:
        """Free the protocols of connections that have ended: some are in cycles.

        The collector would hardly ever come to those that had lasted for long.
        """
        self._tidier = None
        if self._light():
            gc.collect()

    def cancel(self) -> None:
        for timer in (self._watcher, self._tidier):
            if timer is not None:
                timer.cancel()

    def _look(self) -> None:
        self._watcher = None
        now = self._loop.time()
        self._watched = {c for c in self._watched.copy() if c.check(now)}
        if self._watched:
            self._watcher = self._loop.call_later(WATCH_INTERVAL, self._look)
