"""In which order servers are tried for a job."""

import time
from bisect import bisect
from collections.abc import Hashable, Iterable, Sequence
from hashlib import blake2b
from itertools import chain, islice
from typing import Any, Generic, TypeVar

Place = TypeVar("Place", bound=Hashable)

# Points of each server on the ring: shares of the jobs differ by about a tenth.
_POINTS = 160


def _position(key: bytes) -> int:
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")


class Ring(Generic[Place]):
    """Consistent hashing: a key stays where it is when others come and go."""

    def __init__(self, places: Iterable[tuple[bytes, Place]]) -> None:
        named = list(places)
        self._points = sorted(
            (_position(b"%s#%d" % (name, number)), index)
            for index, (name, _) in enumerate(named)
            for number in range(_POINTS)
        )
        self._places = [place for _, place in named]

    def order(self, key: bytes) -> list[Place]:
        """Return all places, the key's own first, then where it goes without it."""
        start = bisect(self._points, (_position(key),))
        indexes: dict[int, None] = {}
        for _, index in chain(islice(self._points, start, None), self._points):
            indexes[index] = None
            if len(indexes) == len(self._places):
                break
        return [self._places[index] for index in indexes]


def rested_first(connections: Sequence[Any]) -> list[Any]:
    """Put servers that failed a moment ago behind the others.

    They are tried all the same where nothing else is left.
    """
    now = time.monotonic()
    return sorted(
        connections,
        key=lambda c: not c.connected and getattr(c, "allowed_connect_time", 0) > now,
    )
