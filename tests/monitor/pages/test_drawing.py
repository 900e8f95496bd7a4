"""Charts as paths of SVG, and small lines."""

import math

import pytest

from gearman.monitor.history.spans import Chart
from gearman.monitor.web import drawing
from gearman.monitor.web.drawing import JOBS, PER_SECOND, SECONDS, Line, Plan, draw

RATES = Plan("k", "Rates", PER_SECOND, (Line("submitted", "jobs", "accent"),))
QUEUE = Plan("k", "Queue", JOBS, (Line("queued", "waiting", "accent"),))
TIMES = Plan("k", "Times", SECONDS, (Line("run_p50", "half", "accent"),))


def chart(field: str, *values: float | None) -> Chart:
    return Chart(1000, 1, {field: [*values]})


def test_line_has_its_highest_point_below_a_round_number() -> None:
    found = draw(RATES, chart("submitted", 0.0, 3.0, 4.0))
    assert found.top == "5/s"
    (line,) = found.lines
    assert line.path == "M0.0 119.0L300.0 48.2L600.0 24.6"
    assert (line.last, line.highest) == ("4/s", "4/s")
    assert draw(RATES, chart("submitted", 2.0, None)).lines[0].last == "2/s"
    assert draw(RATES, chart("submitted", 2.0, *[None] * 5)).lines[0].last == "-"
    assert found.sentence == "Rates: jobs 4/s, highest 4/s"
    assert (found.start, found.end) == (1000, 1003)


def test_line_has_a_gap_where_nothing_was_read() -> None:
    (line,) = draw(QUEUE, chart("queued", 1.0, 1.0, None, 1.0)).lines
    assert line.path == "M0.0 1.0L200.0 1.0 M600.0 1.0L601.0 1.0"
    assert line.area.count("Z") == 2


def test_chart_without_numbers_says_so() -> None:
    found = draw(TIMES, chart("run_p50", None, None))
    assert found.is_empty
    assert found.sentence == "Times: nothing was read in this time"
    assert found.lines[0].last == "-"
    assert draw(TIMES, chart("run_p50")).is_empty


def test_long_history_is_thinned_averages_for_rates_the_highest_for_gauges() -> None:
    values = [0.0, 1.0, 2.0, 3.0] * 150
    rates = draw(RATES, chart("submitted", *values))
    assert rates.data["lines"] == [{"label": "jobs", "values": [1.5] * 150}]
    assert rates.data["step"] == 4.0
    queue = draw(QUEUE, chart("queued", *values))
    assert queue.data["lines"] == [{"label": "waiting", "values": [3.0] * 150}]


def test_long_history_with_gaps_is_thinned_with_them() -> None:
    values = [*[None] * 4, *[2.0] * 596]
    (line,) = draw(RATES, chart("submitted", *values)).lines
    assert line.path.startswith("M4.0 ")


def test_what_does_not_divide_is_at_the_beginning() -> None:
    found = draw(QUEUE, chart("queued", *[1.0] * 301, None))
    assert found.data["step"] == pytest.approx(302 / 101)
    assert found.lines[0].path.startswith("M0.0 1.0L6.0 1.0")


@pytest.mark.parametrize(
    ("highest", "unit", "top"),
    [
        (0, JOBS, 1),
        (0, SECONDS, 0.001),
        (0.3, JOBS, 1),
        (0.3, PER_SECOND, 0.5),
        (5, JOBS, 5),
        (51, JOBS, 100),
        (math.inf, JOBS, 1),
    ],
)
def test_top_is_a_round_number(highest: float, unit: str, top: float) -> None:
    assert drawing.ceiling(highest, unit) == pytest.approx(top)


def test_time_is_shown_as_one() -> None:
    found = draw(TIMES, chart("run_p50", 0.25))
    assert found.top == "500 ms"
    assert found.lines[0].last == "250 ms"


def test_small_line_tells_its_last_and_highest_number() -> None:
    path, sentence = drawing.spark([1.0, 4.0, 2.0], "submitted")
    assert path.startswith("M0.0 ")
    assert sentence == "now 2/s, highest 4/s"
    assert drawing.spark([None], "queued") == ("", "nothing was read")
    assert drawing.spark([0.0, None], "queued") == ("", "none")
