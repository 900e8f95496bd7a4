"""Whether somebody looks: servers are read often only then."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

# Seconds between two readings while a page is open, and otherwise.
OFTEN: Final = 1.0
SELDOM: Final = 10.0

# A page that does not listen for news counts as open for so many seconds.
GLANCE: Final = 15.0


class Attention:
    """Counts who looks, and tells pollers when to read next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._watchers = 0
        self._until = float("-inf")
        self._came = asyncio.Event()

    @property
    def is_there(self) -> bool:
        return bool(self._watchers) or self._clock() < self._until

    def glance(self) -> bool:
        """Note that somebody looks once; return whether somebody did before."""
        was = self.is_there
        self._until = self._clock() + GLANCE
        if not was:
            self._wake()
        return was

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Somebody looks while this context is open."""
        was = self.is_there
        self._watchers += 1
        if not was:
            self._wake()
        try:
            yield
        finally:
            self._watchers -= 1

    def _wake(self) -> None:
        came, self._came = self._came, asyncio.Event()
        came.set()

    async def pause(self, spent: float = 0.0) -> None:
        """Wait until it is time for the next reading.

        The last one took `spent` seconds. If somebody begins to look, that is at once.
        """
        # A server whose answers take long is asked less often.
        shortest = spent * 10
        if self.is_there:
            await asyncio.sleep(max(OFTEN - spent, shortest))
            return
        try:
            async with asyncio.timeout(max(SELDOM - spent, shortest)):
                await self._came.wait()
        except TimeoutError:
            pass
