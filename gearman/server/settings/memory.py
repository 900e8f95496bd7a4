"""How much memory there is, and how much of it peers may use up.

One budget (--max-memory) counts what peers make the server keep: jobs, functions,
registrations, and what was received or waits to be sent. Jobs may have three quarters
of it; those beyond are refused. Where the whole is used up nevertheless, those
connections are closed that hold most of it.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from .config import Config

# What is left to the system and to others, beside a quarter of all (bytes).
_RESERVE: Final = 256 * 1024 * 1024

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
