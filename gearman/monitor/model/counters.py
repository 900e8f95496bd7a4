"""How often what has happened to the jobs of a function."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Final

from . import histogram
from .histogram import Histogram


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of `show stats`, with their names there."""

    submitted: int = 0
    joined: int = 0
    started: int = 0
    completed: int = 0
    failed: int = 0
    exceptions: int = 0
    retried: int = 0
    given_up: int = 0
    expired: int = 0
    cancelled: int = 0
    abandoned: int = 0
    passed_on: int = 0
    lost: int = 0
    timeouts: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    waits: Histogram = field(default=Histogram())
    runs: Histogram = field(default=Histogram())

    def since(self, older: "Counters") -> "Counters":
        """Return what came after older counters.

        If any of them is smaller than then, the server began again: all of it is new.
        """
        if self is older:
            return NOTHING
        news = {name: getattr(self, name) - getattr(older, name) for name in NUMBERS}
        if min(news.values()) < 0:
            return self
        same = self.waits == older.waits and self.runs == older.runs
        if same and not any(news.values()):
            return NOTHING
        return Counters(
            waits=self.waits.since(older.waits),
            runs=self.runs.since(older.runs),
            **news,
        )


NUMBERS: Final = tuple(each.name for each in fields(Counters)[:-2])
NOTHING: Final = Counters()


def total(counters: Iterable[Counters]) -> Counters:
    """Return the sum of several counters."""
    several = [each for each in counters if each is not NOTHING]
    if len(several) < 2:
        return several[0] if several else NOTHING
    sums = {name: sum(getattr(each, name) for each in several) for name in NUMBERS}
    return Counters(
        waits=histogram.total(each.waits for each in several),
        runs=histogram.total(each.runs for each in several),
        **sums,
    )
