"""How fine the history is, and for how long."""

from dataclasses import dataclass
from typing import Final

HOUR: Final = 3600
DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class Tier:
    """A point is about `seconds`, and kept for `keep` seconds.

    When a chunk of so many seconds is over, its points are packed; 0: they never are.
    If readings are further apart than `gap` seconds, what was counted between them is
    in no point.
    """

    number: int
    seconds: int
    keep: int
    chunk: int
    gap: int

    @property
    def slots(self) -> int:
        """How many points a chunk has."""
        return self.chunk // self.seconds


FINE: Final = Tier(0, seconds=1, keep=600, chunk=0, gap=4)
MIDDLE: Final = Tier(1, seconds=10, keep=DAY, chunk=HOUR, gap=60)
COARSE: Final = Tier(2, seconds=600, keep=366 * DAY, chunk=DAY, gap=1200)
TIERS: Final = (FINE, MIDDLE, COARSE)
