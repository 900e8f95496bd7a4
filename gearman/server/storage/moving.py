"""Loading the jobs of shards, and leaving shards, while the server runs.

Both take some turns of the event loop, each of which is short, since there may be
millions of jobs.
"""

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from ...errors import QueueError
from ...queue import Page, Queue, StoredJob, Unreadable
from ..broker import Broker
from .restoring import FIRST, restore
from .store import Store

# Seconds of a turn, and how many jobs are given to the broker between two looks at the
# clock.
ALLOWANCE: Final = 0.005
FEW: Final = 100

NOTHING: Final[frozenset[int]] = frozenset()

Items = Sequence[StoredJob | Unreadable]


class _Load:
    """Shards that are being loaded, how many jobs they had so far, and since when."""

    def __init__(self, shards: frozenset[int], then: Callable[[int, float], None]):
        self.shards = shards
        self.then = then
        self.count = 0
        self.began = time.monotonic()


class Moving:
    """Loads and leaves shards; `go_on` must be called in turns while it is `busy`.

    `settle` passes the changes of the broker to the store.
    """

    def __init__(
        self, broker: Broker, store: Store, settle: Callable[[], None]
    ) -> None:
        self._broker = broker
        self._store = store
        self._settle = settle
        self._loads: list[_Load] = []
        # A page that was read, set in the store's thread; and the one that is restored.
        self._arrived: Page | None = None
        self._items: Items = ()
        self._next = 0
        self._last = False
        # The shards that leave; the highest number of those that were left, -1 for all;
        # shards whose last changes are being committed, and those that are clear then.
        self._leaving = NOTHING
        self._after = -1
        self._committing = NOTHING
        self._committed = False
        self._clear = NOTHING

    @property
    def busy(self) -> bool:
        """Whether there is something to do at once."""
        return self._after >= 0 or self._next < len(self._items) or self._is_here()

    # -- loading

    def load(self, shards: frozenset[int], then: Callable[[int, float], None]) -> None:
        """Load the jobs of shards; then call a function with their count and seconds.

        Their numbers must not be given to new jobs before that.
        """
        self._loads.append(_Load(shards, then))
        if len(self._loads) == 1:
            self._read(FIRST)

    def _read(self, after: int) -> None:
        shards = self._loads[0].shards

        def read(queue: Queue) -> None:
            try:
                self._arrived = queue.read(shards, after)
            except QueueError:
                # An idle connection may be broken.
                self._arrived = queue.read(shards, after)

        self._store.call(read)

    def _is_here(self) -> bool:
        return self._arrived is not None

    def _restore(self) -> None:
        """Give the broker some jobs of the page, or go on to the next page."""
        if self._next >= len(self._items):
            page, self._arrived = self._arrived, None
            assert page is not None  # noqa: S101
            self._items, self._next, self._last = page.items, 0, page.last is None
            if page.last is not None:
                self._read(page.last)
        load = self._loads[0]
        for item in self._items[self._next : self._next + FEW]:
            load.count += restore(self._broker, item)
        self._next += FEW
        if self._last and self._next >= len(self._items):
            self._items, self._last = (), False
            del self._loads[0]
            load.then(load.count, time.monotonic() - load.began)
            if self._loads:
                self._read(FIRST)

    # -- leaving

    def leave(self, shards: frozenset[int]) -> None:
        """Leave these shards, and those before, as soon as their jobs allow it.

        New jobs must not get their numbers any more.
        """
        self._leaving |= shards
        self._broker.stored.leave(self._leaving)
        self._after = 0

    def stay(self, shards: AbstractSet[int]) -> None:
        """Do not leave these shards. They must be loaded again."""
        self._leaving -= shards
        self._clear -= shards
        self._broker.stored.leave(self._leaving)

    def clear(self) -> frozenset[int]:
        """Return and forget shards that leave, and whose last changes are committed.

        They have no jobs here any more.
        """
        clear, self._clear = self._clear, NOTHING
        return clear

    def _commit(self) -> None:
        """Have the last changes of shards committed whose jobs nobody needs here."""
        if self._committed:
            self._clear |= self._committing & self._leaving
            self._leaving -= self._committing
            self._committing, self._committed = NOTHING, False
            self._broker.stored.leave(self._leaving)
        if self._committing or self._after >= 0:
            return
        free = self._leaving - self._broker.stored.needed()
        if free:
            self._broker.stored.left(free)
            self._committing = free
            self._settle()
            self._store.call(self._note)

    def _note(self, queue: Queue) -> None:
        self._committed = True

    def go_on(self) -> None:
        """Do something for ALLOWANCE seconds at most, or what can't be divided."""
        until = time.monotonic() + ALLOWANCE
        while self._step() and time.monotonic() < until:
            pass
        if self._leaving or self._committing:
            self._commit()

    def _step(self) -> bool:
        """Leave or load a few jobs. Returns False if there is nothing to do at once."""
        if self._after >= 0:
            self._after = self._broker.stored.leave_some(self._after)
        elif self._next < len(self._items) or self._is_here():
            self._restore()
        return self.busy
