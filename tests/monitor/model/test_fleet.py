"""What follows from the readings of several servers."""

import pytest

from gearman.monitor.model import readings
from gearman.monitor.model.fleet import WINDOW, Fleet
from gearman.monitor.model.readings import from_status
from gearman.monitor.model.views import Percentiles, Rates
from tests.monitor.readings import function, reading

A, B = "a:4730", "b:4730"


def fleet(*addresses: str) -> Fleet:
    return Fleet(addresses or (A,), 0.0)


def test_server_is_unknown_until_it_is_read() -> None:
    (view,) = fleet().servers()
    assert (view.address, view.health, view.reason) == (A, "unknown", "not read yet")
    assert view.rates is None


def test_server_that_answers_is_up() -> None:
    found = fleet()
    found.take(A, reading(function(queued=2, workers=1), time=5.0, uptime=60))
    view = found.server(A)
    assert view is not None
    assert (view.health, view.since, view.read) == ("up", 5.0, 5.0)
    assert (view.queued, view.workers, view.uptime) == (2, 1, 60.0)
    assert view.functions == 1
    assert found.reading(A) is not None


def test_server_that_is_no_server_of_the_fleet_is_none() -> None:
    assert fleet().server(B) is None


def test_server_that_cannot_store_jobs_has_an_outage() -> None:
    found = fleet()
    found.take(A, reading(store={"outage": True}))
    (view,) = found.servers()
    assert (view.health, view.reason) == ("outage", "it can't store jobs")
    assert found.totals().health == "down"


@pytest.mark.parametrize("facts", [{"store": []}, {"uptime": "long"}, {"build": {}}])
def test_facts_that_are_none_do_no_harm(facts: dict[str, object]) -> None:
    found = fleet()
    found.take(A, reading(**facts))  # type: ignore[arg-type]
    (view,) = found.servers()
    assert (view.health, view.uptime) == ("up", None)


def test_server_that_is_down_has_no_functions_and_says_since_when() -> None:
    found = fleet()
    found.take(A, reading(function(), time=5.0))
    found.lose(A, "Connection refused", 6.0)
    found.lose(A, "Connection refused", 9.0)
    (view,) = found.servers()
    assert (view.health, view.reason, view.since) == ("down", "Connection refused", 6.0)
    assert view.read == 5.0
    assert found.functions() == []
    assert found.reading(A) is None


def test_rates_are_between_the_last_two_readings() -> None:
    found = fleet()
    found.take(A, reading(function(submitted=10, failed=1), time=10.0))
    assert found.servers()[0].rates is None
    again = function(submitted=30, failed=1, exceptions=4)
    found.take(A, reading(again, function("new", submitted=4), time=12.0))
    view = found.function(b"mail")
    assert view is not None
    assert view.total.rates == Rates(submitted=10.0, failed=2.0)
    assert found.servers()[0].rates == Rates(submitted=12.0, failed=2.0)


def test_after_a_restart_rates_are_those_of_the_new_counters() -> None:
    found = fleet()
    found.take(A, reading(function(submitted=1000), time=10.0))
    found.take(A, reading(function(submitted=4), time=12.0))
    view = found.function(b"mail")
    assert view is not None
    assert view.total.rates == Rates(submitted=2.0)


def test_function_that_has_not_changed_has_rates_of_0() -> None:
    found, reader = fleet(), readings.StatsReader()
    lines = [b'{"kind": "server"}', b'{"kind": "function", "function": "a"}']
    for time in (1.0, 2.0):
        found.take(A, reader.read(lines, time))
    view = found.function(b"a")
    assert view is not None
    assert view.total.rates == Rates()


def test_there_are_no_rates_if_the_clock_was_set_back() -> None:
    found = fleet()
    found.take(A, reading(function(), time=10.0))
    found.take(A, reading(function(), time=10.0))
    assert found.servers()[0].rates is None


def test_gauges_only_have_no_rates_and_no_percentiles() -> None:
    found = fleet()
    for time in (1.0, 2.0):
        found.take(A, from_status([b"mail\t3\t1\t2"], "1.1.19", time))
    view = found.function(b"mail")
    assert view is not None
    part = view.total
    assert (part.rates, part.counters, part.recent, part.waits) == (None,) * 4
    assert not found.servers()[0].counts
    assert not found.totals().counts
    assert found.totals().rates is None


def times(*counts: int) -> dict[str, object]:
    return {"seconds": 1.0, "counts": [*counts]}


def test_percentiles_are_those_of_the_last_minutes() -> None:
    found = fleet()
    found.take(A, reading(function(waits=times(100)), time=0.0))
    view = found.function(b"mail")
    assert view is not None
    assert view.total.waits == Percentiles()
    found.take(A, reading(function(waits=times(100, 0, 4)), time=1.0))
    view = found.function(b"mail")
    assert view is not None
    assert view.total.waits is not None
    assert view.total.waits.half == 0.003
    # What is older than two windows is forgotten.
    for time in (WINDOW, 2 * WINDOW):
        found.take(A, reading(function(waits=times(100, 0, 4)), time=time))
    view = found.function(b"mail")
    assert view is not None
    assert view.total.waits == Percentiles()


def test_growth_is_that_of_the_last_minutes() -> None:
    found = fleet()
    found.take(A, reading(function(queued=5), time=0.0))
    view = found.function(b"mail")
    assert view is not None
    assert view.total.growth == 0
    found.take(A, reading(function(queued=25), time=30.0))
    view = found.function(b"mail")
    assert view is not None
    assert view.total.growth == 20


def test_functions_are_those_in_the_worst_trouble_first() -> None:
    found = fleet()
    fine, bad = function("fine", workers=1), function("bad", queued=1)
    dead = function("dead", dead=3)
    found.take(A, reading(fine, bad, dead, function("a")))
    names = [view.name for view in found.functions()]
    assert names == [b"bad", b"dead", b"a", b"fine"]


def test_function_of_several_servers_is_summed() -> None:
    found = fleet(A, B)
    first = function(queued=1, oldest=5.0, submitted=3, unstaffed=9.0)
    found.take(A, reading(first, time=1.0))
    found.take(B, reading(function(queued=2, workers=4, oldest=7.0), time=1.0))
    view = found.function(b"mail")
    assert view is not None
    assert (view.total.queued, view.total.workers) == (3, 4)
    assert (view.total.oldest, view.total.unstaffed) == (7.0, None)
    assert view.total.counters is not None
    assert view.total.counters.submitted == 3
    assert [part.server for part in view.parts] == [A, B]
    # One of the servers has no worker for it.
    assert view.trouble.startswith("1 job waiting, and no worker")
    assert found.totals().queued == 3
    assert found.totals().functions == 1


def test_function_of_one_server_is_what_that_server_has() -> None:
    found = fleet(A, B)
    found.take(A, reading(function(queued=1)))
    found.take(B, reading(function(queued=2), function("other")))
    view = found.function(b"mail", B)
    assert view is not None
    assert (view.total.queued, view.total.server) == (2, "")
    assert found.function(b"other", A) is None
    assert [each.name for each in found.functions(A)] == [b"mail"]


def test_sum_of_servers_with_and_without_counters_has_those_that_there_are() -> None:
    found = fleet(A, B)
    found.take(A, reading(function(queued=1, submitted=3)))
    found.take(B, from_status([b"mail\t2\t0\t0"], "", 1.0))
    view = found.function(b"mail")
    assert view is not None
    assert view.total.queued == 3
    assert view.total.counters is not None
    assert view.total.counters.submitted == 3


def test_sum_of_servers_without_counters_has_none() -> None:
    found = fleet(A, B)
    for address in (A, B):
        found.take(address, from_status([b"mail\t2\t0\t0"], "", 1.0))
    view = found.function(b"mail")
    assert view is not None
    assert (view.total.counters, view.total.recent, view.total.waits) == (None,) * 3


def test_addresses_are_in_their_order() -> None:
    assert fleet(B, A).addresses == [B, A]


def test_function_that_is_new_has_grown_from_nothing() -> None:
    found = fleet()
    found.take(A, reading(time=0.0))
    found.take(A, reading(function(queued=7, submitted=9, scheduled=2), time=1.0))
    view = found.function(b"mail")
    assert view is not None
    assert (view.total.growth, view.total.delayed) == (7, 2)
    assert view.total.recent is not None
    assert view.total.recent.submitted == 9


def test_what_has_not_changed_is_not_made_again() -> None:
    found, reader = fleet(A, B), readings.StatsReader()
    lines = [b'{"kind": "server"}', b'{"kind": "function", "function": "a"}']
    for time in (1.0, 2.0):
        found.take(A, reader.read(lines, time))
    first = found.function(b"a")
    found.take(A, reader.read(lines, 3.0))
    assert first is not None
    assert found.function(b"a") is first
    found.take(B, reading(function("a")))
    assert found.function(b"a") is not first


def test_what_is_kept_of_functions_that_are_gone_is_bounded() -> None:
    found = fleet()
    for number in range(100):
        found.take(A, reading(function(f"f{number}"), time=float(number)))
        assert [view.name for view in found.functions()] == [b"f%d" % number]
    assert len(found._servers[A].parts) < 5
    assert len(found._views) < 10
