"""What the shell around the model is to do, and what it tells the model."""

import logging
from dataclasses import dataclass
from typing import Final

from .pools import Pool

ERROR: Final = logging.ERROR
WARNING: Final = logging.WARNING
INFO: Final = logging.INFO


@dataclass(frozen=True, slots=True)
class Start:
    """Start a process with the functions of a pool."""

    number: int
    pool: Pool


@dataclass(frozen=True, slots=True)
class Drain:
    """Tell a process to take no more jobs, and to end when it has none."""

    number: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill a process."""

    number: int


@dataclass(frozen=True, slots=True)
class Note:
    """Write a line to the log."""

    level: int
    text: str


Action = Start | Drain | Kill | Note


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a process runs, since `started`.

    `timeout` 0.0 is no limit. `progress`, from 0 to 1, is what it says itself, if it
    says anything.
    """

    function: str
    handle: str
    started: float
    timeout: float = 0.0
    progress: float | None = None

    def __str__(self) -> str:
        return f"job {self.handle} of {self.function}"
