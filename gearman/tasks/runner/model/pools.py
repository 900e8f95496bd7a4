"""Which processes are wanted, and for which functions: the counts of GearmanManager.

Common processes have all functions, except those that have dedicated processes only. A
dedicated process has one function.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from ....errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Counts:
    """How many processes a function gets.

    count: at least so many in all, common ones included.
    dedicated_count: so many that have no other function; None: as for all functions.
    dedicated_only: whether common processes do not have it.
    """

    count: int = 0
    dedicated_count: int | None = None
    dedicated_only: bool = False


@dataclass(frozen=True, slots=True)
class Pool:
    """Processes with the same functions: `only` one, or all but those in `without`."""

    count: int
    only: str | None = None
    without: frozenset[str] = frozenset()

    def choose(self, functions: Collection[str]) -> list[str]:
        """Return those of an app's functions that the processes have."""
        if self.only is not None:
            return [name for name in functions if name == self.only]
        return [name for name in functions if name not in self.without]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants.

    processes: how many common processes there are.
    dedicated_count: how many dedicated ones each function gets, if it does not say.
    functions: the counts of single functions.
    """

    processes: int
    dedicated_count: int = 0
    functions: Mapping[str, Counts] = field(default_factory=dict)


def pools(functions: Collection[str], wanted: Wanted) -> list[Pool]:
    """Return the pools for the functions of an app, those without processes left out.

    Raises ConfigurationError if a function is unknown, or if there would be no process.
    """
    if not functions:
        raise ConfigurationError("the app has no tasks: decorate one with @app.task")
    for name in wanted.functions:
        if name not in functions:
            raise ConfigurationError(
                f"the app has no function {name!r}: it has {', '.join(functions)}"
            )
    return list(_pools(functions, wanted))


def _pools(functions: Collection[str], wanted: Wanted) -> Iterator[Pool]:
    counts = {name: wanted.functions.get(name, Counts()) for name in functions}
    without = frozenset(name for name in functions if counts[name].dedicated_only)
    if wanted.processes and len(without) < len(functions):
        yield Pool(wanted.processes, without=without)
    for name in functions:
        if count := _dedicated(name, counts[name], wanted):
            yield Pool(count, only=name)


def _dedicated(name: str, counts: Counts, wanted: Wanted) -> int:
    """Return how many processes have this function only."""
    dedicated = counts.dedicated_count
    if dedicated is None:
        dedicated = wanted.dedicated_count
    if not counts.dedicated_only:
        # Without common processes each function has one of its own.
        return max(dedicated, counts.count - wanted.processes, not wanted.processes)
    if not dedicated:
        raise ConfigurationError(
            f"the function {name!r} has dedicated_only, and no process:"
            " set its dedicated_count"
        )
    return dedicated
