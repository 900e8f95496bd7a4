"""The functions that the broker knows, and how many these may be."""

from collections import deque

from .choice import Choice
from .constants import SWEEP
from .limits import Hits, Limits
from .memory import Memory
from .model import Function

# As many functions are known, whether or not they are in use, where there is no limit.
MANY_FUNCTIONS = 50_000


class Functions:
    """Functions by their names.

    `staffed` is how many of them have workers.
    """

    def __init__(
        self, limits: Limits, hits: Hits, memory: Memory, choice: Choice
    ) -> None:
        self.known: dict[bytes, Function] = {}
        self.staffed = 0
        self.limits = limits
        self.hits = hits
        self.memory = memory
        self._choice = choice
        # All functions, in the order in which to see whether they can be forgotten.
        self._round: deque[Function] = deque()

    def of(self, name: bytes) -> Function:
        """Return the function of this name, which is known from now on."""
        function = self.known.get(name)
        if function is None:
            function = Function(name, self.limits.jobs_per_function)
            self.known[name] = function
            self._round.append(function)
            self.memory.peers += len(name)
        return function

    def admits(self, name: bytes, for_worker: bool = False) -> bool:
        """Whether a function of this name is known, or may become known.

        A function that nobody needs is forgotten for it, if one is found soon. Those
        that have jobs only keep no worker out: for it only those count that have
        workers.
        """
        limit = self.limits.functions
        if len(self.known) < (limit or MANY_FUNCTIONS) or name in self.known:
            return True
        if self._forget_one() or not limit:
            return True
        if for_worker and self.staffed < limit:
            return True
        self.hits.add("max-functions")
        return False

    def drop(self, name: bytes) -> bool:
        """Forget a function. Returns False if it has workers or jobs."""
        function = self.known[name]
        if function.workers or function.total():
            return False
        self._round.remove(function)
        self._forget(function)
        return True

    def _forget_one(self) -> bool:
        for _ in range(min(SWEEP, len(self._round))):
            function = self._round.popleft()
            if not (function.workers or function.total() or self._has_limits(function)):
                self._forget(function)
                return True
            self._round.append(function)
        return False

    def _has_limits(self, function: Function) -> bool:
        """Whether a function was given limits of its own."""
        return function.limits != [self.limits.jobs_per_function] * 3

    def _forget(self, function: Function) -> None:
        del self.known[function.name]
        self.memory.peers -= len(function.name)
        self._choice.forget(function)
        function.clear()
