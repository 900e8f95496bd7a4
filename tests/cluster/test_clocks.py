"""A clock that tests have moved, as a process sees it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest

from tests.queues.backend_postgres import Database, cluster

from .clocks import Clock, clocks
from .fleet import LONG_LEASE, fleet

pytestmark = [pytest.mark.interop, pytest.mark.any_build]

# It tells the time, once for each line that it reads.
PROGRAM = """
import datetime, sys, time
for _ in sys.stdin:
    date = datetime.datetime.now().timestamp()
    print(time.time(), date, time.monotonic(), flush=True)
"""


def test_wall_clock_moves_at_once_and_others_do_not() -> None:
    with clocks() as made:
        clock, other = made.new(), made.new()
        first, second = program(clock), program(other)
        clock.move(-600)
        assert [moved(first), moved(second)] == [[-600, -600, 0], [0, 0, 0]]
        clock.move(120)
        assert moved(first) == [120, 120, 0]
        for each in first, second:
            each.communicate(timeout=20)


def test_server_of_a_fleet_has_the_clock_that_is_moved() -> None:
    async def story(database: Database) -> None:
        with clocks() as made:
            async with fleet(database, 1, LONG_LEASE, clocks=made) as running:
                [server] = running.servers
                running.clock(server).move(-36000)
                await running.remove(server, signal.SIGTERM)
                first, *_, last = map(logged, server.lines)
                assert round((last - first).total_seconds(), -3) == -36000

    with cluster() as postgres:
        asyncio.run(story(Database(postgres, "clocks")))


def logged(line: str) -> datetime:
    """Return when a server has written a line of its log, by its own clock."""
    _, day, time_of_day, *_ = line.split()
    return datetime.fromisoformat(f"{day} {time_of_day}")


def program(clock: Clock) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **clock.variables},
    )


def moved(running: subprocess.Popen[str]) -> list[float]:
    """Return by how much each clock of a process is wrong, in tens of seconds."""
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write("\n")
    running.stdin.flush()
    told = [float(word) for word in running.stdout.readline().split()]
    right = [time.time(), time.time(), time.monotonic()]
    return [round(a - b, -1) for a, b in zip(told, right, strict=True)]
