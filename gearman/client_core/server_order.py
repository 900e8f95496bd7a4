"""The order in which servers are tried for a job, and how long one is left alone.

What is random, and the time, are arguments: nothing here reads a clock.
"""

from bisect import bisect
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from hashlib import blake2b
from itertools import chain, islice
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from ..job import GearmanJobRequest
from ..payload import as_bytes


class Server(Hashable, Protocol):
    """What is asked of a server, or of the connection to it."""

    @property
    def connected(self) -> bool:
        """Whether there is an open connection."""

    def get_address(self) -> tuple[str, int]:
        """Return host and port."""


Place = TypeVar("Place", bound=Hashable)
Choice = TypeVar("Choice", bound=Server)

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


class ServerOrder(Generic[Choice]):
    """The order in which a client tries its servers for each request.

    The order is kept only if there are several servers, and no longer than the request.
    `sample` is `random.sample`, and `clock` `time.monotonic`.
    """

    def __init__(
        self,
        sample: Callable[[Sequence[Choice], int], list[Choice]],
        clock: Callable[[], float],
    ) -> None:
        self._sample = sample
        self._clock = clock
        self.queues: WeakKeyDictionary[GearmanJobRequest, deque[Choice]] = (
            WeakKeyDictionary()
        )
        self._ring: Ring[Choice] | None = None
        self._ringed: list[Choice] = []

    def queue(
        self,
        request: GearmanJobRequest,
        servers: Sequence[Choice],
        by_unique: bool,
    ) -> deque[Choice]:
        """Return the servers in their order; the caller may rotate it.

        The order is random, or depends on the job's unique if `by_unique`. A request
        that is bound to a server has no other one.
        """
        if len(servers) < 2:
            return deque(servers)
        bound: object = request.bound_to
        if bound is not None:
            return deque(each for each in servers if each is bound)
        queue = self.queues.get(request)
        if queue:
            # Servers that were learned may be dropped again.
            for gone in [each for each in queue if each not in servers]:
                queue.remove(gone)
        if not queue:
            if by_unique:
                order = self._by_unique(request, servers)
            else:
                order = self._sample(servers, len(servers))
            queue = self.queues[request] = deque(rested_first(order, self._clock()))
        return queue

    def _by_unique(
        self, request: GearmanJobRequest, servers: Sequence[Choice]
    ) -> list[Choice]:
        if self._ring is None or self._ringed != servers:
            self._ringed = list(servers)
            self._ring = Ring((_name(each), each) for each in servers)
        return self._ring.order(as_bytes(request.job.unique))

    def forget(self, request: GearmanJobRequest) -> None:
        """Forget a request that has ended."""
        if self.queues:
            self.queues.pop(request, None)


def rested_first(servers: Sequence[Choice], now: float) -> list[Choice]:
    """Put servers in their cooldown behind the others.

    They are tried if no other one can be reached. `now` is of the monotonic clock.
    """
    return sorted(
        servers,
        key=lambda s: not s.connected and getattr(s, "allowed_connect_time", 0) > now,
    )


def rest_after(failures: int, first: float, longest: float, share: float) -> float:
    """Return for how many seconds a server is left alone after a failed attempt.

    The time doubles with each of the `failures` before, from `first` to `longest`.
    `share` is what of it is taken, a random number of about 1.
    """
    return min(first * 2.0 ** min(failures, 30), longest) * share


def _name(server: Server) -> bytes:
    host, port = server.get_address()
    return f"{host}:{port}".encode()
