"""How much memory there is, how much of it peers may use up, and who has to go.

One budget (--max-memory) counts what peers make the server keep: jobs, functions,
registrations, and what was received or waits to be sent. Jobs may have three quarters
of it; those beyond are refused. Where the whole is used up nevertheless, those
connections are closed that hold most of it.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from .broker import ABILITY_MEMORY, RECEIPT_MEMORY, WAIT_MEMORY, Broker, Peer

if TYPE_CHECKING:
    from .config import Config
    from .connection import Connection

# What is left to the system and to others, beside a quarter of all (bytes).
_RESERVE: Final = 256 * 1024 * 1024

# Who holds less than this is not closed for it (bytes).
SMALL: Final = 64 * 1024

# After closing nobody, since nobody holds much, look again this much later (seconds).
PAUSE: Final = 1.0

_PROC: Final = Path("/proc")
_CGROUPS: Final = Path("/sys/fs/cgroup")


class Budget(NamedTuple):
    """Bytes that may be used up, by everything and by jobs; 0 is no limit.

    A packet of more than `packet` bytes is refused: together with what is made of it,
    it would be too much for the whole.
    """

    total: int
    jobs: int
    packet: int


def budget(config: "Config") -> Budget:
    """Return what the options say, or else what suits this machine."""
    total = config.max_memory
    if total is None:
        total = default_budget(machine_memory())
    most = total * 3 // 4
    jobs = most if config.max_job_memory is None else config.max_job_memory
    packet = min(config.max_packet, most) if most else config.max_packet
    return Budget(total, jobs, packet)


def default_budget(memory: int) -> int:
    """Return how much of so much memory a server may use up if nothing else is said.

    That is three quarters less 256 MB, but at least half of it. 0 stays 0.
    """
    return max(memory // 2, memory * 3 // 4 - _RESERVE)


def machine_memory(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """Return how much memory this process can have, in bytes; 0 if nobody knows.

    It is what the machine has, or less if a cgroup that this process is in (a
    container, a systemd unit with MemoryMax) has less.
    """
    sizes = [size for size in _limits(proc, cgroups) if size > 0]
    return min(sizes, default=0)


def _limits(proc: Path, cgroups: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lines: list[str] = []
    with suppress(OSError):
        lines = (proc / "self/cgroup").read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _limits_along(cgroups, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_along(cgroups / "memory", path, "memory.limit_in_bytes")


def _limits_along(root: Path, path: str, name: str) -> Iterator[int]:
    """Yield the limits of a cgroup and of those that it is in.

    In a container, the path may be one that is not to be seen; its root is then.
    """
    group = root / path.lstrip("/")
    for folder in (group, *group.parents):
        # "max" is no number.
        with suppress(OSError, ValueError):
            yield int((folder / name).read_text())
        if folder == root:
            break


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
