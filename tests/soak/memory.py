"""The memory of a server after each wave of a soak, and whether it grows."""

import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Self

from tests.crash.process import Server

# Run by its path instead of the module gearman.server, since the folder of the tests
# may not be in the server's module path.
OBSERVED = (str(Path(__file__).with_name("observed.py")),)

# In the waves before, memory that is kept for reuse reaches its size.
WARM_UP = 10

# With fewer waves after those, there is no result.
ENOUGH = 8

# The allowed growth in an hour, as a part of the memory in use.
LEAK = 0.01

# Resident bytes that a server may have more after the last wave than after any wave of
# the first half: free memory is not returned to the system.
GROWTH = 16 * 1024 * 1024

# The bytes that SQLite may have: its pages and prepared statements.
SQLITE = 12 * 1024 * 1024


@dataclass(frozen=True)
class Use:
    """The memory of a server; `resident` is its resident memory, in bytes.

    `objects` counts the blocks that Python's allocator has given out, `allocated` the
    bytes that the C library's allocator has given out, but to SQLite, which has
    `sqlite` bytes; `free` are bytes that it keeps.
    """

    seconds: float
    resident: int
    descriptors: int
    objects: int
    allocated: int
    free: int
    sqlite: int

    @classmethod
    async def of(cls, server: Server, times: int) -> Self:
        """Ask an observed server, which was asked `times` times before."""
        server.process.send_signal(signal.SIGUSR2)
        await server.says("in use:", times + 1)
        *_, line = (line for line in server.lines if "in use:" in line)
        told = map(int, re.findall(r"=(\d+)", line))
        process = Path(f"/proc/{server.process.pid}")
        pages = int((process / "statm").read_text().split()[1])
        descriptors = len(list((process / "fd").iterdir()))
        return cls(time.monotonic(), pages * 4096, descriptors, *told)


def leaks(uses: Sequence[Use]) -> list[str]:
    """Return what has grown from wave to wave and should not have."""
    first, last = uses[0], uses[-1]
    found = []
    if last.descriptors != first.descriptors:
        found.append(f"descriptors: {first.descriptors}, then {last.descriptors}")
    most = max(use.resident for use in uses[: (len(uses) + 1) // 2])
    if last.resident > most + GROWTH:
        found.append(f"memory of the system: {most} bytes, then {last.resident}")
    if last.sqlite > SQLITE:
        found.append(f"memory of SQLite: {last.sqlite} bytes")
    if len(uses) >= WARM_UP + ENOUGH:
        warm = uses[WARM_UP:]
        for name, rate, base in (
            ("bytes", rise(warm, lambda use: use.allocated), last.resident),
            ("objects", rise(warm, lambda use: use.objects), last.objects),
        ):
            if rate > LEAK * base:
                found.append(f"{name} in use: {rate:.0f} more in an hour")
    return found


def rise(uses: Sequence[Use], figure: Callable[[Use], int]) -> float:
    """Return the least growth of a figure in an hour.

    Pairs of waves are compared whose distance is a fourth of all waves. Three in four
    of these pairs grow by more. So a single increase, or ups and downs, do not count.
    """
    pairs = zip(uses, uses[len(uses) // 4 :], strict=False)
    rates = [(figure(b) - figure(a)) / (b.seconds - a.seconds) for a, b in pairs]
    return quantiles(rates, n=4)[0] * 3600


def table(uses: Sequence[Use]) -> str:
    lines = [
        "After each wave: KiB resident, allocated, free, SQLite's; objects; descriptors"
    ]
    for use in uses:
        sizes = (use.resident, use.allocated, use.free, use.sqlite)
        lines.append("".join(f"{size >> 10:9} " for size in sizes))
        lines[-1] += f"{use.objects:9} {use.descriptors:4}"
    return "\n".join(lines)
