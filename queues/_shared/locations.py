"""The locations of live jobs, for queues that keep many jobs in a segment.

A job is live while it is stored and not removed.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

_SIZE_BITS: Final = 32
_OFFSET_BITS: Final = 40
_SIZE: Final = (1 << _SIZE_BITS) - 1
_OFFSET: Final = (1 << _OFFSET_BITS) - 1


class Location(NamedTuple):
    """A record: the number of its segment, its offset there, and its size in bytes."""

    segment: int
    offset: int
    size: int


class Index:
    """The locations of all live jobs, by their numbers.

    A job takes about 120 bytes: its number and its location, which is packed into
    one integer.
    """

    def __init__(self) -> None:
        self._locations: dict[int, int] = {}
        self._live: defaultdict[int, int] = defaultdict(int)
        self.live = 0

    def __contains__(self, number: int) -> bool:
        return number in self._locations

    def numbers(self) -> Iterator[int]:
        return iter(self._locations)

    def where(self, number: int) -> Location:
        packed = self._locations[number]
        offset = packed >> _SIZE_BITS & _OFFSET
        return Location(packed >> _SIZE_BITS + _OFFSET_BITS, offset, packed & _SIZE)

    def holds(self, number: int, segment: int, offset: int) -> bool:
        """Whether the job is live, and its record is at this place."""
        packed = self._locations.get(number)
        place = (segment << _OFFSET_BITS) | offset
        return packed is not None and packed >> _SIZE_BITS == place

    def live_in(self, segment: int) -> int:
        """Return how many bytes of a segment belong to live jobs."""
        return self._live.get(segment, 0)

    def put(self, number: int, segment: int, offset: int, size: int) -> None:
        self.drop(number)
        place = (segment << _OFFSET_BITS) | offset
        self._locations[number] = place << _SIZE_BITS | size
        self._live[segment] += size
        self.live += size

    def drop(self, number: int) -> None:
        """Forget a job, if it is there."""
        packed = self._locations.pop(number, None)
        if packed is not None:
            size = packed & _SIZE
            self._live[packed >> _SIZE_BITS + _OFFSET_BITS] -= size
            self.live -= size

    def forget(self, segment: int) -> None:
        """Forget a segment that has no more live jobs."""
        self._live.pop(segment, None)
