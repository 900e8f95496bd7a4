"""Run jobs with the asyncio client or the blocking one: ``benchmarks/aio.py`` runs it.

``aio_play.py WAY PORT JOBS FLIGHT`` prints figures in JSON: jobs per second and CPU
microseconds per job. All results are checked.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from resource import RUSAGE_SELF, getrusage

import gearman
from gearman.aio import Client

FUNCTION = "function0"
WORKLOADS = "{:064}"


def blocking(address: str, jobs: int, flight: int) -> None:
    """Run `flight` jobs at a time with `submit_multiple_jobs`."""
    with gearman.GearmanClient([address]) as client:
        for start in range(0, jobs, flight):
            workloads = [
                WORKLOADS.format(number) for number in range(start, start + flight)
            ]
            requests = client.submit_multiple_jobs(
                [{"task": FUNCTION, "data": workload} for workload in workloads]
            )
            for request, workload in zip(requests, workloads, strict=True):
                _check(request.result, workload)


def calls(address: str, jobs: int, flight: int) -> None:
    """Call from `flight` tasks."""

    async def caller(client: Client, start: int) -> None:
        for number in range(start, jobs, flight):
            workload = WORKLOADS.format(number)
            _check(await client.call(FUNCTION, workload), workload)

    async def main() -> None:
        async with Client(address) as client, asyncio.TaskGroup() as group:
            for start in range(flight):
                group.create_task(caller(client, start))

    asyncio.run(main())


def mapped(address: str, jobs: int, flight: int) -> None:
    """Map a function, with `flight` jobs at a time."""

    async def main() -> None:
        workloads = [WORKLOADS.format(number) for number in range(jobs)]
        place = 0
        async with Client(address) as client:
            async for result in client.map(FUNCTION, workloads, concurrency=flight):
                _check(result, workloads[place])
                place += 1
        _check(str(place), str(jobs))

    asyncio.run(main())


WAYS: dict[str, Callable[[str, int, int], None]] = {
    "blocking": blocking,
    "calls": calls,
    "map": mapped,
}


def _check(result: bytes | str, expected: str) -> None:
    if result not in (expected, expected.encode()):
        raise RuntimeError(f"{result!r} came, not {expected!r}")


def _processor_time() -> float:
    used = getrusage(RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def play(way: str, port: str, jobs: str, flight: str) -> None:
    """Run jobs in a way, and print the figures."""
    count, address = int(jobs), f"127.0.0.1:{port}"
    WAYS[way](address, int(flight), int(flight))
    used, start = _processor_time(), time.perf_counter()
    WAYS[way](address, count, int(flight))
    seconds = time.perf_counter() - start
    used = _processor_time() - used
    print(json.dumps({"rate": count / seconds, "cpu": used / count * 1e6}))


if __name__ == "__main__":
    play(*sys.argv[1:])
