"""How fine the history is, and for how long."""

from dataclasses import dataclass
from typing import Final

HOUR: Final = 3600
DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class Tier:
    """A point is about `seconds`, and kept for `keep` seconds.

    When a chunk of so many seconds is over, its points are packed. If readings are
    further apart than `gap` seconds, what was counted between them is in no point.
    """

    number: int
    seconds: int
    keep: int
    chunk: int
    gap: int

    @property
    def is_dense(self) -> bool:
        """Whether its chunks are packed densely, as they are kept for long."""
        return self.keep > DAY

    @property
    def slots(self) -> int:
        """How many points a chunk has."""
        return self.chunk // self.seconds


FINE: Final = Tier(0, seconds=1, keep=600, chunk=60, gap=4)
MIDDLE: Final = Tier(1, seconds=10, keep=DAY, chunk=600, gap=60)
COARSE: Final = Tier(2, seconds=600, keep=366 * DAY, chunk=4 * DAY, gap=1200)
TIERS: Final = (FINE, MIDDLE, COARSE)
