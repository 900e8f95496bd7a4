"""A clock that tests have moved, as a process sees it."""

import os
import subprocess
import sys
import time

import pytest

from .clocks import Clock, clocks

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
