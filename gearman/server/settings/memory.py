"""The machine's memory, and how much of it peers may use.

The budget (--max-memory) counts all that peers make the server keep: jobs, functions,
registrations of workers, received input, and output that waits to be sent. Jobs may use
three quarters of it; further jobs are refused. If the whole budget is used, the
connections that hold most memory are closed.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from .config import Config

# Bytes that are left to the system and other programs, in addition to a quarter.
_RESERVE: Final = 256 * 1024 * 1024

_PROC: Final = Path("/proc")
_CGROUPS: Final = Path("/sys/fs/cgroup")


class Budget(NamedTuple):
    """The most bytes for all that peers use, and for jobs; 0 is no limit.

    A packet of more than `packet` bytes is refused: the packet, together with the one
    that is made from it, would be over the budget.
    """

    total: int
    jobs: int
    packet: int


def budget(config: "Config") -> Budget:
    """Return the budget of the options, or the default for this machine."""
    total = config.max_memory
    if total is None:
        total = default_budget(machine_memory())
    most = total * 3 // 4
    jobs = most if config.max_job_memory is None else config.max_job_memory
    packet = min(config.max_packet, most) if most else config.max_packet
    return Budget(total, jobs, packet)


def default_budget(memory: int) -> int:
    """Return the default of --max-memory on a machine with so many bytes of memory.

    It is three quarters of them less 256 MiB, but at least half of them; 0 for 0.
    """
    return max(memory // 2, memory * 3 // 4 - _RESERVE)


def machine_memory(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """Return how much memory this process can have, in bytes; 0 if it is unknown.

    It is the machine's memory, or the limit of a cgroup of this process (a container, a
    systemd unit with MemoryMax) if that is lower.
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
    """Yield the limits of a cgroup, and of all cgroups around it.

    In a container the path itself may be invisible, but its root is visible.
    """
    group = root / path.lstrip("/")
    for folder in (group, *group.parents):
        # "max" is no number.
        with suppress(OSError, ValueError):
            yield int((folder / name).read_text())
        if folder == root:
            break
