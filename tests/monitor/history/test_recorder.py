"""Moments of readings: which seconds they are about, and what is in them."""

from typing import Any

from gearman.monitor.history.points import FIELDS
from gearman.monitor.history.recorder import ALL, Moment, Recorder
from gearman.monitor.history.tiers import COARSE, FINE, MIDDLE, Tier
from gearman.monitor.model.readings import from_status
from tests.monitor.readings import function, reading

A = "a:4730"


def moments(
    recorder: Recorder,
    tier: Tier,
    time: float,
    *functions: dict[str, Any],
    **facts: Any,
) -> list[Moment]:
    found = recorder.take(A, reading(*functions, time=time, **facts))
    return [moment for moment in found if moment.tier == tier.number]


def field(moment: Moment, name: str, of: bytes = b"mail") -> int:
    return moment.points[of][FIELDS.index(name)]


def test_moment_has_what_was_counted_within_its_seconds() -> None:
    recorder = Recorder()
    assert moments(recorder, MIDDLE, 1000.2, function(submitted=5)) == []
    assert moments(recorder, MIDDLE, 1005.0, function(submitted=6)) == []
    (moment,) = moments(recorder, MIDDLE, 1010.1, function(submitted=8))
    assert (moment.address, moment.time) == (A, 1000)
    assert field(moment, "submitted") == 3
    assert field(moment, "submitted", ALL) == 3


def test_all_tiers_have_moments_of_their_own() -> None:
    recorder = Recorder()
    recorder.take(A, reading(function(), time=599.5))
    found = recorder.take(A, reading(function(submitted=1), time=600.5))
    starts = {(moment.tier, moment.time) for moment in found}
    assert starts == {
        (FINE.number, 599),
        (MIDDLE.number, 590),
        (COARSE.number, 0),
    }


def test_gauges_are_the_highest() -> None:
    recorder = Recorder()
    moments(recorder, MIDDLE, 1000.0, function(queued=1))
    moments(recorder, MIDDLE, 1003.0, function(queued=9, running=1))
    moments(recorder, MIDDLE, 1006.0, function(queued=2, running=4))
    (moment,) = moments(recorder, MIDDLE, 1010.0, function(workers=5))
    assert field(moment, "queued") == 9
    assert field(moment, "running") == 4
    assert field(moment, "queued", ALL) == 9
    assert field(moment, "workers", ALL) == 5


def test_silent_function_is_not_in_a_moment() -> None:
    recorder = Recorder()
    silent = function("silent", workers=3, dead=2, submitted=7)
    moments(recorder, MIDDLE, 1000.0, silent)
    (moment,) = moments(recorder, MIDDLE, 1010.0, silent)
    assert [*moment.points] == [ALL]


def test_jobs_of_forgotten_functions_are_in_the_sum() -> None:
    recorder = Recorder()
    moments(recorder, MIDDLE, 1000.0)
    (moment,) = moments(recorder, MIDDLE, 1010.0, {"kind": "forgotten", "submitted": 3})
    assert field(moment, "submitted", ALL) == 3


def test_what_lies_between_two_readings_is_divided_among_the_moments() -> None:
    recorder = Recorder()
    moments(recorder, MIDDLE, 1000.0, function(submitted=0))
    found = moments(recorder, MIDDLE, 1030.0, function(submitted=10))
    assert [moment.time for moment in found] == [1000, 1010, 1020]
    assert [field(moment, "submitted") for moment in found] == [3, 3, 4]


def test_after_a_gap_there_is_no_moment() -> None:
    recorder = Recorder()
    moments(recorder, MIDDLE, 1000.0, function(submitted=0))
    assert moments(recorder, MIDDLE, 1200.0, function(submitted=10)) == []
    (moment,) = moments(recorder, MIDDLE, 1210.0, function(submitted=11))
    assert field(moment, "submitted") == 1


def test_fine_moments_need_frequent_readings() -> None:
    recorder = Recorder()
    moments(recorder, FINE, 1000.0, function(submitted=0))
    assert moments(recorder, FINE, 1010.0, function(submitted=10)) == []
    (moment,) = moments(recorder, FINE, 1011.0, function(submitted=12))
    assert field(moment, "submitted") == 2


def test_clock_that_is_set_back_makes_no_moment() -> None:
    recorder = Recorder()
    moments(recorder, MIDDLE, 1000.0, function(submitted=5))
    assert moments(recorder, MIDDLE, 900.0, function(submitted=6)) == []
    (moment,) = moments(recorder, MIDDLE, 910.0, function(submitted=8))
    assert (moment.time, field(moment, "submitted")) == (900, 2)


def test_after_a_restart_what_the_new_server_counted_is_in_the_moment() -> None:
    recorder = Recorder()
    moments(recorder, MIDDLE, 1000.0, function(submitted=500))
    (moment,) = moments(recorder, MIDDLE, 1010.0, function(submitted=4))
    assert field(moment, "submitted") == 4


def test_new_function_is_counted_from_its_beginning() -> None:
    recorder = Recorder()
    moments(recorder, MIDDLE, 1000.0)
    (moment,) = moments(recorder, MIDDLE, 1010.0, function(submitted=4))
    assert field(moment, "submitted") == 4


def test_servers_without_counters_have_gauges() -> None:
    recorder = Recorder()
    recorder.take(A, from_status([b"mail\t5\t2\t3"], "", 1000.0))
    found = recorder.take(A, from_status([b"mail\t5\t2\t3"], "", 1010.0))
    (moment,) = [each for each in found if each.tier == MIDDLE.number]
    assert field(moment, "queued") == 3
    assert field(moment, "submitted") == 0


def test_server_without_functions_has_a_moment() -> None:
    recorder = Recorder()
    moments(recorder, MIDDLE, 1000.0)
    (moment,) = moments(recorder, MIDDLE, 1010.0)
    assert set(moment.points[ALL]) == {0}


def test_function_with_nothing_but_joined_jobs_is_silent() -> None:
    recorder = Recorder()
    moments(recorder, MIDDLE, 1000.0, function(joined=1))
    (moment,) = moments(recorder, MIDDLE, 1010.0, function(joined=2))
    assert [*moment.points] == [ALL]
