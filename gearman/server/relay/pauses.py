"""When something is tried again that has failed."""

from collections.abc import Callable, Sequence
from typing import Final

# Seconds between two attempts: the first, and the longest. The true ones are random,
# from half of that on, so that servers do not come all at once.
FIRST: Final = 1.0
LONGEST: Final = 60.0

# Returns a random number from 0 to 1.
Chance = Callable[[], float]


class Pauses:
    """Pauses that double, up to LONGEST."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._next = FIRST

    def next(self) -> float:
        """Return how many seconds to wait after a failure."""
        pause = self._next * (1 + self._chance()) / 2
        self._next = min(self._next * 2, LONGEST)
        return pause

    def reset(self) -> None:
        """Begin again, since something went well."""
        self._next = FIRST


class Route:
    """Which of several servers is tried, and when.

    All of them are tried without a pause; then comes one.
    """

    def __init__(self, servers: Sequence[tuple[str, int]], chance: Chance) -> None:
        self._servers = servers
        self._pauses = Pauses(chance)
        self._number = 0
        self._failed = 0

    @property
    def server(self) -> tuple[str, int]:
        """The host and the port of the server that is tried, or in use."""
        return self._servers[self._number]

    def failed(self) -> float:
        """Go on to the next server; return how many seconds to wait before."""
        self._number = (self._number + 1) % len(self._servers)
        self._failed += 1
        if self._failed < len(self._servers):
            return 0.0
        self._failed = 0
        return self._pauses.next()

    def works(self) -> None:
        """Note that the server does what it is asked for."""
        self._failed = 0
        self._pauses.reset()
