"""One process, and one place for a process."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from math import inf

from .actions import RunningJob
from .pools import Pool


class State(Enum):
    """Where a process is in its life; it ends from each of these."""

    # It imports the app, and connects to a server.
    STARTING = auto()
    # It takes jobs.
    SERVING = auto()
    # It takes no more jobs, and ends when it has none.
    DRAINING = auto()
    # It was killed.
    KILLED = auto()


@dataclass(slots=True, eq=False)
class Process:
    """A process.

    generation: counts up with each HUP.
    since: when it has got its state.
    worn: why it should be replaced, "" if it should not.
    failure: what it has said about its end.
    jobs: those that it runs, as far as is known.
    busy: when it was last seen to run one.
    done: how many it has run to their ends.
    """

    number: int
    place: "Place"
    generation: int
    since: float
    state: State = State.STARTING
    worn: str = ""
    failure: str = ""
    jobs: Sequence[RunningJob] = ()
    busy: float = -inf
    done: int = 0

    def enter(self, state: State, now: float) -> None:
        """Change the state."""
        self.state = state
        self.since = now


@dataclass(slots=True, eq=False)
class Place:
    """A place for one process of a pool, which may be about to get another one.

    current: the process that takes jobs, or will be the first to.
    incoming: what replaces it as soon as it is ready.
    failures: how many processes in a row have ended without being asked to.
    due: when the next one may be started.
    """

    pool: Pool
    current: Process | None = None
    incoming: Process | None = None
    failures: int = 0
    due: float = -inf
    closed: bool = False

    @property
    def name(self) -> str:
        """What is special about it, for the log."""
        return f" for {self.pool.only}" if self.pool.only else ""

    def forget(self, process: Process) -> None:
        """Be without a process, if this is one of the two."""
        if self.current is process:
            self.current = None
        if self.incoming is process:
            self.incoming = None


LONGEST_DELAY = 60.0


def delay(failures: int) -> float:
    """Return after how many seconds a process is started after failures in a row."""
    return min(LONGEST_DELAY, 2.0 ** min(failures - 2, 10)) if failures > 1 else 0.0
