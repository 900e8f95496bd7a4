"""Back-pressure: which connections the server does not read from, and until when.

A peer that does not accept data is blocked: from the time when more than HIGH_WATER
bytes wait for it, until no more than LOW_WATER bytes wait. Meanwhile the server reads
neither from the peer, nor from the workers that send it data: from these only when more
bytes wait than `worker_limit` says. While the store is full, it holds the connections
that submit background jobs in the same way.

`Outgoing` and the engine's channels compare the waiting bytes with the two limits.
"""

from typing import Final, Protocol

from ..broker import Peer
from ..protocols.interface import HIGH_WATER

__all__ = ["HIGH_WATER", "LOW_WATER", "BackPressure", "hold_workers", "worker_limit"]

# A blocked peer has caught up when no more than so many bytes wait for it.
LOW_WATER: Final = 256 * 1024

# If more bytes wait for a client, its workers are held, so that their results do not
# all wait in memory.
HOLD_WORKERS: Final = 64 * 1024 * 1024


class Owner(Protocol):
    """A connection, as far as reading from it is paused."""

    peer: Peer
    closing: bool

    def pause_reading(self) -> None: ...

    def released(self) -> None:
        """Read again, unless it is still held by anything else."""


class Blocker(Protocol):
    """What holds connections: the back-pressure of a blocked peer, or the store."""

    def forget(self, producer: "BackPressure") -> None:
        """Forget a held connection that is gone."""


class BackPressure:
    """Decides whether one connection is read from, and which others it holds."""

    __slots__ = ("_connection", "_holds", "held_by", "reads_on")

    def __init__(self, connection: Owner) -> None:
        self._connection = connection
        # The connection is not read from because of these; its own back-pressure is
        # one of them while the peer is blocked.
        self.held_by: set[Blocker] = set()
        # The connections that are not read from because this peer is blocked. Most
        # connections never need this set, which takes 216 bytes.
        self._holds: set[BackPressure] | None = None
        # Whether it is read from a blocked peer: two servers that are linked could wait
        # for each other otherwise.
        self.reads_on = False

    @property
    def closing(self) -> bool:
        return self._connection.closing

    def block(self) -> None:
        """Block the peer, for which too much waits: read no more from it."""
        self._connection.peer.blocked = True
        if not self.reads_on:
            self.hold(self)

    def unblock(self) -> None:
        """Read again from the peer, and from those that produce for it."""
        self._connection.peer.blocked = False
        producers, self._holds = self._holds, None
        for producer in producers or ():
            producer.released_by(self)

    def hold(self, producer: "BackPressure") -> None:
        """Stop reading from a connection that produces for this blocked one."""
        if not producer.closing:
            if self._holds is None:
                self._holds = set()
            self._holds.add(producer)
            producer.held(self)

    def held(self, blocker: Blocker) -> None:
        """Do not read from this connection until the blocker releases it."""
        if not self.held_by:
            self._connection.pause_reading()
        self.held_by.add(blocker)

    def released_by(self, blocker: Blocker) -> None:
        self.held_by.discard(blocker)
        self._connection.released()

    def forget(self, producer: "BackPressure") -> None:
        if self._holds is not None:
            self._holds.discard(producer)

    def end(self) -> None:
        """Release those that wait for this connection, and forget what holds it."""
        self.unblock()
        for blocker in self.held_by:
            blocker.forget(self)
        self.held_by.clear()

    def break_cycle(self) -> None:
        """Break the reference cycle with a lost connection, so that it is freed."""
        del self._connection


def worker_limit(max_outbox: int) -> int:
    """Return the number of bytes that may wait for a client before workers are held.

    It is at most half of --max-outbox, so that a client is rarely disconnected.
    """
    return min(HOLD_WORKERS, max_outbox // 2 or HOLD_WORKERS)


def hold_workers(congested: list[tuple[Peer, Peer]], limit: int) -> None:
    """Hold workers that send data to blocked clients, and clear the list.

    It has pairs of a worker and a client. `limit` is in bytes.
    """
    for worker, client in congested:
        connection = client.connection
        if client.blocked and connection.waiting() > limit:
            connection.pressure.hold(worker.connection.pressure)
    congested.clear()
