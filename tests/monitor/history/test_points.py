"""Points: what they are made of, and percentiles as codes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.monitor.history import points
from gearman.monitor.history.points import FIELDS, FIRST_GAUGE, code, decoded
from gearman.monitor.model.counters import Counters
from gearman.monitor.model.histogram import Histogram
from gearman.monitor.model.readings import FunctionReading


def test_point_has_all_fields() -> None:
    counters = Counters(
        submitted=1,
        failed=2,
        exceptions=3,
        lost=4,
        timeouts=5,
        waits=Histogram(1.0, (4,)),
    )
    function = FunctionReading(b"a", workers=6, queued=7, pending=8, oldest=9.9)
    made = points.make(counters, points.gauges(function))
    found = {name: value for name, value in zip(FIELDS, made, strict=True) if value}
    assert found == {
        **{"submitted": 1, "failed": 5, "lost": 9, "workers": 6, "queued": 7},
        **{"delayed": 8, "oldest": 9, "wait_p50": 1, "wait_p95": 1, "wait_p99": 1},
    }


@given(st.floats(0.001, 1e6))
def test_code_has_an_error_of_a_tenth(seconds: float) -> None:
    back = decoded(code(seconds))
    assert back == pytest.approx(seconds, rel=0.1)


def test_codes_at_the_ends() -> None:
    assert code(None) == 0
    assert decoded(0) is None
    assert code(0.0) == code(0.001) == 1
    assert decoded(1) == 0.001
    assert code(1e300) == 255


def test_point_without_jobs_is_silent() -> None:
    idle = FunctionReading(b"a", workers=6, dead=3)
    assert points.is_silent(points.make(Counters(), points.gauges(idle)))
    queued = FunctionReading(b"a", queued=1)
    assert not points.is_silent(points.make(Counters(), points.gauges(queued)))
    counted = points.make(Counters(submitted=1), points.gauges(idle))
    assert not points.is_silent(counted)


@given(st.integers(1, 5), st.lists(st.integers(0, 100), min_size=19, max_size=19))
def test_parts_of_a_point_have_the_same_sum_and_gauges(
    count: int, numbers: list[int]
) -> None:
    point = tuple(numbers)
    several = points.parts(point, count)
    assert len(several) == count
    sums = [sum(column) for column in zip(*several, strict=True)]
    assert tuple(sums[:FIRST_GAUGE]) == point[:FIRST_GAUGE]
    assert all(part[FIRST_GAUGE:] == point[FIRST_GAUGE:] for part in several)


def test_gauges_of_several_functions_are_summed_but_for_the_oldest_job() -> None:
    assert points.summed([(1, 2, 3, 4, 5, 6), (1, 1, 1, 1, 1, 9)]) == (2, 3, 4, 5, 6, 9)
    assert points.highest([(1, 5), (3, 2)]) == (3, 5)
