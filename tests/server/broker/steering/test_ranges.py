"""The ranges of numbers find the jobs of a table, however it has changed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.commands import Command
from gearman.server.broker.constants import RANGE
from gearman.server.broker.steering.ranges import FEW
from tests.server.conftest import Server


def found(ranges: Any, number: int = -1) -> list[int]:
    """Return the numbers above this one, range by range."""
    numbers: list[int] = []
    while (start := ranges.start_after(number)) >= 0:
        numbers += [n for n in ranges.numbers(start) if n > number]
        number = start + RANGE - 1
    return numbers


def restore(server: Server, number: int) -> None:
    handle = b"H:test:%d" % number
    arguments = (b"f", b"", b"", 1, 0, 0, None)
    server.broker.stored.restore(number, handle, *arguments)


numbers = st.integers(0, 20 * RANGE)


@given(st.lists(st.tuples(st.booleans(), numbers), max_size=100), numbers)
def test_all_jobs_are_found_in_order(changes: list[tuple[bool, int]], after: int):
    server = Server()
    known: set[int] = set()
    for comes, number in changes:
        if comes and number not in known:
            restore(server, number)
            known.add(number)
        elif known:
            gone = sorted(known)[number % len(known)]
            server.broker.cancel(b"H:test:%d" % gone)
            known.remove(gone)
    ranges = server.broker.jobs.ranges
    assert found(ranges) == sorted(known)
    assert found(ranges, after) == [n for n in sorted(known) if n > after]


def ranges_of(server: Server) -> int:
    """Return how many ranges there are."""
    ranges, count, number = server.broker.jobs.ranges, 0, -1
    while (start := ranges.start_after(number)) >= 0:
        count, number = count + 1, start + RANGE - 1
    return count


@pytest.mark.parametrize("jobs", [1, 2 * RANGE])
def test_ranges_without_jobs_do_not_pile_up(server: Server, jobs: int):
    for number in range(jobs):
        restore(server, number)
    for number in range(jobs, jobs + 500 * RANGE, RANGE // 2):
        restore(server, number)
        server.broker.cancel(b"H:test:%d" % number)
    assert ranges_of(server) <= FEW + 10
    assert found(server.broker.jobs.ranges) == list(range(jobs))


def test_jobs_that_come_after_a_taken_number_are_found(server: Server):
    while (server.broker.jobs.next_number + 1) % RANGE:
        server.broker.jobs.take_number()
    server.broker.jobs.take_number()
    server.broker.jobs.take_number()
    handle = server.connect().submit(command=Command.SUBMIT_JOB_BG)
    (number,) = found(server.broker.jobs.ranges)
    assert handle == b"H:test:%d" % number
