"""Differences and sums of counters."""

from gearman.monitor.model.counters import NOTHING, NUMBERS, Counters, total
from gearman.monitor.model.histogram import Histogram
from gearman.server.broker import stats


def test_counters_are_those_of_the_server() -> None:
    assert set(NUMBERS) == {*stats.COUNTERS, "started"}


def test_difference_has_what_came_after() -> None:
    old = Counters(submitted=5, waits=Histogram(1.0, (1,)))
    new = Counters(submitted=7, failed=1, waits=Histogram(1.5, (1, 2)))
    news = Counters(submitted=2, failed=1, waits=Histogram(0.5, (0, 2)))
    assert new.since(old) == news


def test_the_same_counters_have_no_difference() -> None:
    same = Counters(submitted=5)
    assert same.since(same) is NOTHING


def test_equal_counters_have_no_difference() -> None:
    assert Counters(submitted=5).since(Counters(submitted=5)) is NOTHING
    runs = Histogram(1.0, (1,))
    assert Counters(runs=runs).since(Counters()) == Counters(runs=runs)


def test_after_a_restart_all_is_new() -> None:
    new = Counters(submitted=7, failed=1)
    assert new.since(Counters(submitted=3, failed=2)) == new


def test_sum_has_all() -> None:
    several = [Counters(submitted=5, runs=Histogram(1.0, (1,))), Counters(submitted=2)]
    assert total(several) == Counters(submitted=7, runs=Histogram(1.0, (1,)))
    assert total([]) == NOTHING
