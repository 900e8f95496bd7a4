"""Queue plugins that are slow, die or lose jobs; servers find them by name."""

import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gearman.queue import Option, Queue, StoredJob, load


def _options(base: type[Queue]) -> tuple[Option, ...]:
    """Return the options of a plugin, with other names than its own."""
    return tuple(
        replace(option, names=(f"crash-{option.names[0]}",)) for option in base.options
    )


class Sqlite(load("sqlite")):  # type: ignore[misc]
    """The plugin itself."""

    options = _options(load("sqlite"))


class Gated(Sqlite):
    """Begins a commit when a test has opened the other end of a FIFO."""

    options = (
        *Sqlite.options,
        Option("gate", ("crash-gate",), "the FIFO", "FILE", "path"),
    )

    def __init__(self, *, gate: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._gate = gate

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        with open(self._gate, "rb"):
            super().commit(added, done)


class Slow(Sqlite):
    """Takes 200 ms for a commit."""

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        time.sleep(0.2)
        super().commit(added, done)


class Forgetful(Sqlite):
    """Keeps the jobs of the latest commits in memory only."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._later: deque[Sequence[StoredJob]] = deque([()] * 5)

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._later.append(added)
        super().commit(self._later.popleft(), done)


class Undead(Sqlite):
    """Removes no jobs."""

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        super().commit(added, ())


class Dying(Queue):
    """Kills the process in one of its commits, or right before or after it.

    In the environment, CRASH_COMMIT is the number of the commit, from 1, and
    CRASH_DELAY the seconds after its beginning.
    """

    _left = int(os.environ.get("CRASH_COMMIT", "0"))

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._left -= 1
        if self._left == 0:
            # SIGALRM has no handler, so it ends the process as SIGKILL does.
            signal.setitimer(signal.ITIMER_REAL, float(os.environ["CRASH_DELAY"]))
        super().commit(added, done)  # type: ignore[safe-super]


def __getattr__(name: str) -> type[Queue]:
    """Return the plugin `DyingNAME`."""
    if not name.startswith("Dying"):
        raise AttributeError(name)
    base = load(name.removeprefix("Dying").lower())
    return type(name, (Dying, base), {"options": _options(base)})
