"""What a server uses after each wave of a soak, and whether that grows."""

import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Self

from tests.crash.process import Server

# Run in place of the module gearman.server, by its path: the folder of the tests may
# not be where the server looks for modules.
OBSERVED = (str(Path(__file__).with_name("observed.py")),)

# Until then everything that is kept for the next who needs it comes to its size.
WARM_UP = 10

# Fewer waves after those say nothing.
ENOUGH = 8

# What may come to be in use in an hour, as a part of what is.
LEAK = 0.01

# Bytes of the system's memory that a server may have more after the last wave than
# after any of the first half: what is free is not given back to the system.
GROWTH = 16 * 1024 * 1024


@dataclass(frozen=True)
class Use:
    """What a server has in use; `resident` is what it has of the system's memory.

    `objects` counts what Python's own allocator has given out, `allocated` the bytes
    that the C library's has, and `free` are bytes that the latter keeps.
    """

    seconds: float
    resident: int
    descriptors: int
    objects: int
    allocated: int
    free: int

    @classmethod
    async def of(cls, server: Server, times: int) -> Self:
        """Ask an observed server, which was asked so many times before."""
        server.process.send_signal(signal.SIGUSR2)
        await server.says("in use:", times + 1)
        *_, line = (line for line in server.lines if "in use:" in line)
        told = map(int, re.findall(r"=(\d+)", line))
        process = Path(f"/proc/{server.process.pid}")
        pages = int((process / "statm").read_text().split()[1])
        descriptors = len(list((process / "fd").iterdir()))
        return cls(time.monotonic(), pages * 4096, descriptors, *told)


def leaks(uses: Sequence[Use]) -> list[str]:
    """Say what has grown from wave to wave and should not have."""
    first, last = uses[0], uses[-1]
    found = []
    if last.descriptors != first.descriptors:
        found.append(f"descriptors: {first.descriptors}, then {last.descriptors}")
    most = max(use.resident for use in uses[: (len(uses) + 1) // 2])
    if last.resident > most + GROWTH:
        found.append(f"memory of the system: {most} bytes, then {last.resident}")
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
    """Return how much a figure grows in an hour, at least.

    Waves that are a fourth of all apart are compared, and three in four of these pairs
    grow by more. So what comes once, or goes up and down, does not count.
    """
    pairs = zip(uses, uses[len(uses) // 4 :], strict=False)
    rates = [(figure(b) - figure(a)) / (b.seconds - a.seconds) for a, b in pairs]
    return quantiles(rates, n=4)[0] * 3600


def table(uses: Sequence[Use]) -> str:
    lines = ["KiB resident, allocated, free; objects; descriptors after each wave:"]
    for use in uses:
        sizes = (size >> 10 for size in (use.resident, use.allocated, use.free))
        lines.append("{:9} {:9} {:9}".format(*sizes))
        lines[-1] += f" {use.objects:9} {use.descriptors:4}"
    return "\n".join(lines)
