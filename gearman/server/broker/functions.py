"""The functions that the broker knows, and the limit of their number."""

from collections import deque
from typing import Protocol

from .assignment.choice import Choice
from .constants import SWEEP
from .limits import Hits, Limits
from .memory import FUNCTION_MEMORY, Memory
from .model import Function
from .stats import Stats

# If there is no limit, unused functions are forgotten from this number on.
MANY_FUNCTIONS = 50_000


class PolicySource(Protocol):
    """Gives a function its policy."""

    def apply(self, function: Function, /) -> None: ...


class Newcomers(Protocol):
    """Is told of functions that become known. It must not change anything then."""

    def appeared(self, function: Function, /) -> None: ...


class Functions:
    """Functions by their names.

    `staffed` is how many functions have workers. `policies` gives each new function its
    policy, and `newcomers` are told of it.
    """

    def __init__(
        self, limits: Limits, hits: Hits, memory: Memory, choice: Choice
    ) -> None:
        self.known: dict[bytes, Function] = {}
        self.staffed = 0
        self.limits = limits
        self.hits = hits
        self.memory = memory
        self.policies: PolicySource | None = None
        self.newcomers: list[Newcomers] = []
        # What has happened to the jobs of functions that were forgotten.
        self.gone = Stats()
        self._choice = choice
        # All functions, in the order in which they are checked for being unused.
        self._round: deque[Function] = deque()

    def of(self, name: bytes) -> Function:
        """Return the function of this name; make it known if it is not."""
        function = self.known.get(name)
        if function is None:
            function = Function(name, self.limits.jobs_per_function)
            self.known[name] = function
            self._round.append(function)
            self.memory.peers += FUNCTION_MEMORY + len(name)
            if self.policies is not None:
                self.policies.apply(function)
            for each in self.newcomers:
                each.appeared(function)
        return function

    def admits(self, name: bytes, for_worker: bool = False) -> bool:
        """Whether a function of this name is known, or may become known.

        At the limit an unused function is forgotten to make room, if one is found
        soon. For a worker only the functions that have workers count, so that it can
        still register one if most functions have jobs but no worker.
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
        """Whether this function has limits of its own, which must not be forgotten."""
        if function.starts is not None or function.held:
            return True
        return function.limits != [self.limits.jobs_per_function] * 3

    def _forget(self, function: Function) -> None:
        del self.known[function.name]
        self.memory.peers -= FUNCTION_MEMORY + len(function.name)
        self.gone.merge(function.stats)
        self._choice.forget(function)
        function.clear()
