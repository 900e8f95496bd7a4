"""Closing the connections that hold most of the memory that peers may use up."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from ..broker import ABILITY_MEMORY, RECEIPT_MEMORY, WAIT_MEMORY, Broker, Peer

if TYPE_CHECKING:
    from .connection import Connection

# Who holds less than this is not closed for it (bytes).
SMALL: Final = 64 * 1024

# After closing nobody, since nobody holds much, look again this much later (seconds).
PAUSE: Final = 1.0


def relieve(
    broker: Broker,
    connections: "Iterable[Connection]",
    close: "Callable[[Connection, int], None]",
) -> bool:
    """Have those closed that hold most, if all hold more than is left beside the jobs.

    That is at least a quarter of the budget, however much of it jobs have that came
    from the store. `close` gets a connection and how many bytes it holds. Returns
    False if the budget is exceeded and there was nobody to close.
    """
    total = broker.limits.memory
    most = max(total - broker.memory, total // 4)
    excess = broker.overhead() + broker.buffers - most
    if excess <= 0:
        return True
    # Not so little that the next byte is too much again.
    excess += most // 8
    held = [(_held(connection), connection) for connection in connections]
    held = [(size, connection) for size, connection in held if size >= SMALL]
    held.sort(key=lambda pair: pair[0], reverse=True)
    for size, connection in held:
        close(connection, size)
        excess -= size
        if excess <= 0:
            break
    return bool(held)


def _held(connection: "Connection") -> int:
    return connection.memory() + _owed(connection.peer)


def _owed(peer: Peer) -> int:
    """Return how much of a broker's overhead is a peer's."""
    return (
        len(peer.functions) * ABILITY_MEMORY
        + len(peer.waiting) * WAIT_MEMORY
        + len(peer.receipts or ()) * RECEIPT_MEMORY
    )
