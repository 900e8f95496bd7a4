"""In which order servers are tried for a job."""

import random
import time
from bisect import bisect
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from hashlib import blake2b
from itertools import chain, islice
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from ..connection import GearmanConnection
from ..errors import ConnectionError
from ..job import GearmanJobRequest
from ..payload import as_bytes

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


class ServerOrder:
    """In which order a client tries its servers for each request.

    It is kept only where there is a choice, and no longer than the request.
    """

    def __init__(self) -> None:
        self.queues: WeakKeyDictionary[GearmanJobRequest, deque[GearmanConnection]] = (
            WeakKeyDictionary()
        )
        self._ring: Ring[GearmanConnection] | None = None
        self._ringed: list[GearmanConnection] = []

    def queue(
        self,
        request: GearmanJobRequest,
        connections: Sequence[GearmanConnection],
        by_unique: bool,
    ) -> deque[GearmanConnection]:
        """Return the servers in that order; the caller may rotate them.

        The order is random, or follows from the unique of the job.
        """
        if len(connections) < 2:
            return deque(connections)
        queue = self.queues.get(request)
        if not queue:
            if by_unique:
                order = self._by_unique(request, connections)
            else:
                order = random.sample(connections, len(connections))
            queue = self.queues[request] = deque(rested_first(order))
        return queue

    def _by_unique(
        self, request: GearmanJobRequest, connections: Sequence[GearmanConnection]
    ) -> list[GearmanConnection]:
        if self._ring is None or self._ringed != connections:
            self._ringed = list(connections)
            self._ring = Ring((_name(each), each) for each in connections)
        return self._ring.order(as_bytes(request.job.unique))

    def forget(self, request: GearmanJobRequest) -> None:
        """Forget a request that has ended."""
        if self.queues:
            self.queues.pop(request, None)


def first_open(
    queue: deque[GearmanConnection],
    establish: Callable[[GearmanConnection], GearmanConnection],
) -> GearmanConnection:
    """Open the first connection that can be, and have the next search begin with it.

    Raises the last ConnectionError if there is none.
    """
    problem = ConnectionError("there are no servers")
    for turns, connection in enumerate(list(queue)):
        try:
            chosen = establish(connection)
        except ConnectionError as error:
            problem = error
            continue
        queue.rotate(-turns)
        return chosen
    raise problem


def rested_first(
    connections: Sequence[GearmanConnection],
) -> list[GearmanConnection]:
    """Put servers that failed a moment ago behind the others.

    They are tried all the same where nothing else is left.
    """
    now = time.monotonic()
    return sorted(
        connections,
        key=lambda c: not c.connected and getattr(c, "allowed_connect_time", 0) > now,
    )


def _name(connection: GearmanConnection) -> bytes:
    host, port = connection.get_address()
    return f"{host}:{port}".encode()
