"""Which connections are closed when peers use more memory than --max-memory allows."""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar

from ..broker import Broker, Peer

# A connection that holds fewer bytes is not closed for its memory.
SMALL: Final = 64 * 1024

# Seconds until the next check if no connection holds as much.
PAUSE: Final = 1.0


class Holder(Protocol):
    """A connection, as far as it holds memory."""

    peer: Peer

    def memory(self) -> int:
        """Return the memory of its buffers, in bytes."""


_H = TypeVar("_H", bound=Holder)


def excess(broker: Broker) -> int:
    """Return how many bytes connections must free, 0 if they are within the budget.

    Connections may use what jobs leave of the budget, but at least a quarter of it,
    even if jobs from the store take more than the rest. An eighth of that is freed in
    addition, so that the next byte is not over the budget again.
    """
    total = broker.limits.memory
    most = max(total - broker.memory.jobs, total // 4)
    over = broker.memory.peers + broker.memory.buffers - most
    return over + most // 8 if over > 0 else 0


def largest(
    holders: Iterable[_H], size: int, broker: Broker
) -> Iterator[tuple[_H, int]]:
    """Yield those that hold most, each with its bytes, up to `size` bytes in all."""
    held = [
        (holder, holder.memory() + broker.memory_of(holder.peer)) for holder in holders
    ]
    held = [pair for pair in held if pair[1] >= SMALL]
    held.sort(key=lambda pair: pair[1], reverse=True)
    for holder, memory in held:
        yield holder, memory
        size -= memory
        if size <= 0:
            break
