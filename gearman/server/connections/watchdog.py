"""Regular checks of connections, outside of the turns."""

import asyncio
import gc
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet

from ..broker import Peer

# Seconds between two checks of connections that may have stalled.
WATCH_INTERVAL = 1.0

# Seconds from the end of a connection until a look at what is left of it, and of all
# others that end meanwhile.
TIDY_INTERVAL = 60.0


class Watched(Protocol):
    """A connection, as far as it may stall."""

    def check(self, now: float) -> bool:
        """Close it if it has stalled; return whether to check it again."""


class Watchdog:
    """Checks connections that may stall, and that those which have ended are freed.

    `interrupt` makes the event loop notice a new timer. `light` says whether a garbage
    collection is cheap; if it is not, none is run.
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
        # Those of ended connections, as long as they are not freed.
        self._left: WeakSet[Peer] = WeakSet()
        self._watcher: asyncio.TimerHandle | None = None
        self._tidier: asyncio.TimerHandle | None = None

    def watch(self, connection: Watched) -> None:
        """Check a connection regularly as long as it may stall."""
        self._watched.add(connection)
        if self._watcher is None:
            self._watcher = self._loop.call_later(WATCH_INTERVAL, self._look)
            self._interrupt()

    def ended(self, connection: Watched) -> None:
        """Check a connection no more."""
        self._watched.discard(connection)

    def freed(self, peer: Peer) -> None:
        """Look later whether the peer of an ended connection is freed by then."""
        self._left.add(peer)
        if self._tidier is None:
            self._tidier = self._loop.call_later(TIDY_INTERVAL, self.tidy)
            self._interrupt()

    def tidy(self) -> None:
        """Free peers of ended connections that are in reference cycles, if there are.

        Protocols of other packages may make such cycles. The garbage collector by
        itself rarely looks at old objects, and its look holds up all connections.
        """
        self._tidier = None
        if self._left and self._light():
            gc.collect()
            self._left.clear()

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
