"""Closing the connections that hold most of the memory that peers may use up."""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar

from ..broker import Broker, Peer

# Who holds less than this is not closed for it (bytes).
SMALL: Final = 64 * 1024

# After closing nobody, since nobody holds much, look again this much later (seconds).
PAUSE: Final = 1.0


class Holder(Protocol):
    """A connection, as far as it holds memory."""

    peer: Peer

    def memory(self) -> int:
        """Return how many bytes its buffers take."""


_H = TypeVar("_H", bound=Holder)


def excess(broker: Broker) -> int:
    """Return how many bytes to free if all hold more than is left beside the jobs.

    That is at least a quarter of the budget, however much of it jobs have that came
    from the store. An eighth more is to be freed, or the next byte would be too much.
    """
    total = broker.limits.memory
    most = max(total - broker.memory.jobs, total // 4)
    over = broker.overhead() + broker.memory.buffers - most
    return over + most // 8 if over > 0 else 0


def largest(
    holders: Iterable[_H], size: int, broker: Broker
) -> Iterator[tuple[_H, int]]:
    """Yield those who hold most, and how many bytes each, until they have `size`."""
    held = [
        (holder, holder.memory() + broker.overhead_of(holder.peer))
        for holder in holders
    ]
    held = [pair for pair in held if pair[1] >= SMALL]
    held.sort(key=lambda pair: pair[1], reverse=True)
    for holder, memory in held:
        yield holder, memory
        size -= memory
        if size <= 0:
            break
