"""Differences, sums and percentiles of histograms."""

import pytest

from gearman.monitor.model.histogram import BUCKETS, Histogram, total
from gearman.server.broker import stats


def test_buckets_are_those_of_the_server() -> None:
    assert BUCKETS == stats.BUCKETS + 1


def test_difference_has_what_came_after() -> None:
    old, new = Histogram(1.0, (1, 2)), Histogram(3.5, (1, 3, 0, 4))
    assert new.since(old) == Histogram(2.5, (0, 1, 0, 4))


def test_difference_of_equal_histograms_is_empty() -> None:
    assert Histogram(1.0, (1, 2)).since(Histogram(1.0, (1, 2))) == Histogram()


@pytest.mark.parametrize("counts", [(0, 5), (1,), ()])
def test_after_a_restart_all_is_new(counts: tuple[int, ...]) -> None:
    new = Histogram(0.5, counts)
    assert new.since(Histogram(9.0, (1, 4))) == new


def test_quantile_of_no_times_is_none() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean() is None


def test_quantile_is_interpolated_within_its_bucket() -> None:
    # Four times of 2 ms to 4 ms.
    times = Histogram(0.012, (0, 0, 4))
    assert times.quantile(0.5) == pytest.approx(0.003)
    assert times.quantile(1.0) == pytest.approx(0.004)
    assert times.mean() == pytest.approx(0.003)


def test_quantile_within_the_first_bucket_begins_at_0() -> None:
    assert Histogram(0.001, (2,)).quantile(0.5) == pytest.approx(0.0005)


def test_quantile_skips_empty_buckets() -> None:
    times = Histogram(1.0, (90, 0, 0, 0, 0, 0, 0, 0, 0, 10))
    high = times.quantile(0.95)
    assert high is not None
    assert 0.256 < high <= 0.512
    assert times.quantile(0.9) == pytest.approx(0.001)


def test_quantile_of_a_share_of_0_is_the_start_of_the_first_bucket_in_use() -> None:
    assert Histogram(1.0, (0, 3)).quantile(0.0) == pytest.approx(0.001)


def test_sum_has_all_times() -> None:
    several = [Histogram(1.0, (1, 2)), Histogram(2.0, (0, 0, 3)), Histogram()]
    assert total(several) == Histogram(3.0, (1, 2, 3))
    assert total([]) == Histogram()
