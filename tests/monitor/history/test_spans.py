"""The history as numbers for a chart."""

from random import Random

import pytest

from gearman.monitor.history.file import MEMORY, File
from gearman.monitor.history.points import FIELDS, Point, code, decoded
from gearman.monitor.history.recorder import ALL, Moment
from gearman.monitor.history.spans import SPANS, Chart, charts
from gearman.monitor.history.tiers import COARSE, DAY, FINE, MIDDLE, Tier

A, B = "a:4730", "b:4730"
NOW = 5000 * COARSE.chunk


def point(**fields: int) -> Point:
    return tuple((dict.fromkeys(FIELDS, 0) | fields).values())


def put(file: File, tier: Tier, ago: int, address: str = A, **functions: Point) -> None:
    """Store a moment that began so many seconds ago."""
    points = {name.encode(): each for name, each in functions.items()}
    total = next(iter(functions.values()), point())
    file.write([Moment(tier.number, address, NOW - ago, {**points, ALL: total})])


def chart(file: File, span: str, *fields: str, name: bytes = b"mail") -> Chart:
    return charts(file, [A, B], [name], SPANS[span], fields, NOW)[0]


def test_chart_of_an_empty_history_has_no_values() -> None:
    found = chart(File(MEMORY), "10m", "submitted")
    assert found == Chart(NOW - 600, 1, {"submitted": [None] * 600})


def test_counts_are_rates_and_gauges_are_as_they_were() -> None:
    file = File(MEMORY)
    put(file, MIDDLE, 20, mail=point(submitted=5, queued=7, oldest=3))
    found = chart(file, "hour", "submitted", "queued", "oldest")
    assert {field: values[-2] for field, values in found.fields.items()} == {
        "submitted": 0.5,
        "queued": 7.0,
        "oldest": 3.0,
    }
    assert found.fields["submitted"][-1] is None


def test_function_that_was_silent_while_the_server_was_read_has_0() -> None:
    file = File(MEMORY)
    put(file, MIDDLE, 20, other=point(submitted=5))
    put(file, MIDDLE, 10, mail=point(submitted=5))
    assert chart(file, "hour", "submitted").fields["submitted"][-2:] == [0.0, 0.5]
    found = chart(file, "hour", "submitted", name=b"never seen")
    assert found.fields["submitted"][-3:] == [None, 0.0, 0.0]


def test_all_functions_have_the_name_of_none() -> None:
    file = File(MEMORY)
    put(file, MIDDLE, 10, mail=point(submitted=5))
    assert chart(file, "hour", "submitted", name=ALL).fields["submitted"][-1] == 0.5


def test_servers_are_summed_but_for_times() -> None:
    file = File(MEMORY)
    half, second = code(0.5), code(1.0)
    put(file, MIDDLE, 10, mail=point(submitted=5, wait_p50=half, oldest=4))
    put(file, MIDDLE, 10, B, mail=point(submitted=10, wait_p50=second, oldest=2))
    found = chart(file, "hour", "submitted", "wait_p50", "oldest", "run_p50").fields
    assert found["submitted"][-1] == 1.5
    assert found["wait_p50"][-1] == decoded(second)
    assert found["oldest"][-1] == 4.0
    # No job ended: that is no time of 0.
    assert found["run_p50"][-1] is None


def test_steps_of_several_points_have_the_mean_rate_and_the_highest_gauge() -> None:
    file = File(MEMORY)
    # A step of a day's chart has twelve points; these two are of one.
    put(file, MIDDLE, 120, mail=point(submitted=5, queued=1))
    put(file, MIDDLE, 110, mail=point(submitted=15, queued=9))
    found = chart(file, "day", "submitted", "queued").fields
    assert (found["submitted"][-1], found["queued"][-1]) == (1.0, 9.0)


def test_last_minutes_are_filled_from_coarser_points() -> None:
    file = File(MEMORY)
    put(file, MIDDLE, 20, mail=point(submitted=20, queued=3))
    put(file, FINE, 15, mail=point(submitted=7, queued=4))
    found = chart(file, "10m", "submitted", "queued").fields
    assert found["submitted"][-22:-9] == [None] * 2 + [2.0] * 5 + [7.0] + [2.0] * 4 + [
        None
    ]
    assert found["queued"][-15] == 4.0


def test_point_at_the_edge_counts_for_its_part() -> None:
    file = File(MEMORY)
    put(file, MIDDLE, 605, mail=point(submitted=20))
    found = chart(file, "10m", "submitted").fields["submitted"]
    assert found[:6] == [2.0] * 5 + [None]


def test_long_spans_are_made_of_coarse_points() -> None:
    file = File(MEMORY)
    put(file, COARSE, 3 * DAY, mail=point(submitted=600))
    for span in ("week", "month", "year"):
        values = chart(file, span, "submitted").fields["submitted"]
        assert [value for value in values if value is not None] == [1.0]


def test_chart_of_packed_chunks_with_and_without_gaps_adds_up() -> None:
    file = File(MEMORY)
    seed = Random(1)
    step = SPANS["month"].step
    points: dict[int, Point] = {}
    for time in range(NOW - 20 * DAY, NOW - 100, COARSE.seconds):
        # The first days have all points, later ones half of them.
        if time < NOW - 10 * DAY or seed.random() < 0.5:
            points[time] = point(submitted=seed.randrange(9), queued=seed.randrange(9))
    file.write(
        Moment(COARSE.number, A, time, {b"mail": each, ALL: each})
        for time, each in points.items()
    )
    file.tidy(NOW)
    found = chart(file, "month", "submitted", "queued")
    for place, values in enumerate(zip(*found.fields.values(), strict=True)):
        start = found.start + place * step
        within = [each for time, each in points.items() if 0 <= time - start < step]
        if not within:
            assert values == (None, None)
            continue
        submitted = sum(each[0] for each in within) / COARSE.seconds / len(within)
        queued = max(each[FIELDS.index("queued")] for each in within)
        assert values == (pytest.approx(submitted), queued)


def test_steps_of_all_spans_divide_them() -> None:
    for span in SPANS.values():
        assert span.seconds % span.step == 0
        assert 300 <= span.seconds // span.step <= 800
        assert span.step % span.tier.seconds == 0
