"""The order in which servers are tried for a job."""

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

# Points of each server on the ring: the servers' shares of jobs differ by about 10 %.
_POINTS = 160


def _position(key: bytes) -> int:
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")


class Ring(Generic[Place]):
    """Consistent hashing: few keys move when a place is added or removed."""

    def __init__(self, places: Iterable[tuple[bytes, Place]]) -> None:
        named = list(places)
        self._points = sorted(
            (_position(b"%s#%d" % (name, number)), index)
            for index, (name, _) in enumerate(named)
            for number in range(_POINTS)
        )
        self._places = [place for _, place in named]

    def order(self, key: bytes) -> list[Place]:
        """Return all places: the key's own place first, then its next choices."""
        start = bisect(self._points, (_position(key),))
        indexes: dict[int, None] = {}
        for _, index in chain(islice(self._points, start, None), self._points):
            indexes[index] = None
            if len(indexes) == len(self._places):
                break
        return [self._places[index] for index in indexes]


class ServerOrder:
    """The order in which a client tries its servers for each request.

    The order is kept only if there are several servers, and no longer than the request.
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
        """Return the servers in their order; the caller may rotate it.

        The order is random, or depends on the job's unique if `by_unique`. A request
        that is bound to a server has no other one.
        """
        if len(connections) < 2:
            return deque(connections)
        if request.bound_to is not None:
            return deque(each for each in connections if each is request.bound_to)
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
    """Open the first connection that can be opened, and move it to the front.

    Raises the last ConnectionError if none can be opened.
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
    """Put connections in their cooldown behind the others.

    They are tried if no other connection can be opened.
    """
    now = time.monotonic()
    return sorted(
        connections,
        key=lambda c: not c.connected and getattr(c, "allowed_connect_time", 0) > now,
    )


def _name(connection: GearmanConnection) -> bytes:
    host, port = connection.get_address()
    return f"{host}:{port}".encode()
