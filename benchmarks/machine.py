"""A description of the machine on which the numbers were measured."""

import os
import platform
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

from .servers import Server


def describe(servers: Iterable[Server]) -> Iterator[str]:
    """Yield lines that name the day, the machine and the versions compared."""
    cores = len(os.sched_getaffinity(0))
    yield f"{date.today():%Y-%m-%d}, {_processor()}, {cores} cores"
    yield f"{platform.system()} {platform.release()}"
    yield f"load average before the run: {os.getloadavg()[0]:.2f}"
    for server in servers:
        yield f"{server.label}: {server.version}"


def noise() -> str:
    """Return a warning if other programs keep this machine busy."""
    busy, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if busy < cores / 4:
        return ""
    return f"other processes are busy here (load average {busy:.2f}): expect noise"


def _processor() -> str:
    with Path("/proc/cpuinfo").open() as file:
        names = (line for line in file if line.startswith("model name"))
        return next(names, "unknown processor").partition(":")[2].strip()
