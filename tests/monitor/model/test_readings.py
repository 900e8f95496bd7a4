"""Answers of servers: what is read of them, and what nobody can read."""

import json

import pytest

from gearman.monitor.model import readings
from gearman.monitor.model.counters import Counters
from gearman.monitor.model.histogram import Histogram
from gearman.monitor.model.readings import (
    FunctionReading,
    StatsReader,
    Worker,
    as_bytes,
    from_status,
    worker,
)
from gearman.server.broker import Broker
from gearman.server.protocols.stats import Statistics
from tests.monitor.readings import function, reading


def test_answer_of_a_broker_is_read() -> None:
    broker = Broker()
    broker.functions.of(b"mail\xff")
    records = list(Statistics(broker, lambda: {"version": "1"}).records())
    lines = [json.dumps(record).encode() for record in records]
    found = StatsReader().read(lines, 5.0)
    assert (found.time, found.version, found.counts) == (5.0, "1", True)
    assert found.functions == {
        b"mail\xff": FunctionReading(b"mail\xff", counters=Counters())
    }


def test_all_keys_of_a_function_are_read() -> None:
    keys = {
        **{"workers": 1, "running": 2, "queued": 3, "scheduled": 4, "awaiting": 5},
        **{"pending": 6, "dead": 7, "held": True, "oldest": 1.5, "unstaffed": 2},
        **{"submitted": 8, "waits": {"seconds": 2.5, "counts": [1, 2]}},
    }
    found = reading(function("mail", **keys)).functions[b"mail"]
    assert found == FunctionReading(
        *(b"mail", 1, 2, 3, 4, 5, 6, 7, True, 1.5, 2.0),
        Counters(submitted=8, waits=Histogram(2.5, (1, 2))),
    )
    assert found.delayed == 15
    assert not found.is_idle


def test_what_has_not_changed_is_the_same_object() -> None:
    reader = StatsReader()
    lines = [b'{"kind": "server"}', json.dumps(function("a", submitted=5)).encode()]
    first = reader.read(lines, 1.0).functions[b"a"]
    assert reader.read(lines, 2.0).functions[b"a"] is first
    lines[1] = json.dumps(function("a", submitted=6)).encode()
    assert reader.read(lines, 3.0).functions[b"a"] is not first


def test_forgotten_functions_are_counted() -> None:
    found = reading({"kind": "forgotten", "submitted": 3})
    assert found.forgotten.submitted == 3


def test_unknown_objects_are_ignored() -> None:
    assert reading({"kind": "new in a later version"}).functions == {}


@pytest.mark.parametrize(
    "waits",
    [
        None,
        [],
        {"counts": 1},
        {"counts": [0.5]},
        {"counts": [-1]},
        {"counts": [1] * 30},
        {"seconds": "?", "counts": "?"},
    ],
)
def test_histogram_that_is_none_is_empty(waits: object) -> None:
    found = reading(function(waits=waits)).functions[b"mail"]
    assert found.counters == Counters()


def test_numbers_that_are_none_are_0() -> None:
    wrong = {"queued": "many", "running": -1, "dead": 10**400, "oldest": "old"}
    wrong |= {"unstaffed": 10**400, "submitted": 1 << 64}
    found = reading(function(**wrong)).functions
    assert found[b"mail"] == FunctionReading(b"mail", counters=Counters())


def test_infinite_time_is_none() -> None:
    line = b'{"kind": "function", "function": "a", "oldest": 1e999}'
    found = StatsReader().read([b'{"kind": "server"}', line], 1.0)
    assert found.functions[b"a"].oldest is None


@pytest.mark.parametrize(
    "line",
    [
        *(b"mail\t1\t2\t3", b"[]", b'{"kind": "server", "x": NaN}', b"[" * 100_000),
        b'{"kind": "function"}',
        b'{"kind": "function", "function": {"base64": "?"}}',
    ],
)
def test_line_that_is_no_object_of_show_stats_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"can't be read|must be a text|base64|Base64"):
        StatsReader().read([b'{"kind": "server"}', line], 1.0)


def test_answer_without_a_server_is_refused() -> None:
    with pytest.raises(ValueError, match="has no server"):
        StatsReader().read([], 1.0)


def test_more_functions_than_may_be_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readings, "MOST_FUNCTIONS", 2)
    found = reading(*(function(f"f{n}") for n in range(5)))
    assert len(found.functions) < 5
    lines = [b"f%d\t0\t0\t0" % n for n in range(5)]
    assert len(from_status(lines, "", 1.0).functions) == 2


def test_status_is_read() -> None:
    found = from_status([b"mail\t5\t2\t3", b"a\tb\t0\t0\t0"], "1.1.19", 1.0)
    assert not found.counts
    assert found.functions == {
        b"mail": FunctionReading(b"mail", workers=3, running=2, queued=3),
        b"a\tb": FunctionReading(b"a\tb"),
    }


@pytest.mark.parametrize(
    "line",
    [
        b"mail",
        b"mail\t1\t2",
        b"mail\tx\t2\t3",
        b"mail\t-1\t2\t3",
        b"a\t1\t1\t" + b"9" * 99,
    ],
)
def test_line_that_is_none_of_status_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="can't be read"):
        from_status([line], "", 1.0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"30 127.0.0.1 - : mail", Worker(30, "127.0.0.1", "-", (b"mail",))),
        (b"30 ::1 my id : a b", Worker(30, "::1", "my id", (b"a", b"b"))),
        (b"-1  \xff :", Worker(-1, "", "\\xff", ())),
    ],
)
def test_worker_is_read(line: bytes, expected: Worker) -> None:
    assert worker(line) == expected


@pytest.mark.parametrize("line", [b"", b"30 127.0.0.1 -", b"x 127.0.0.1 - : mail"])
def test_line_that_is_no_worker_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="can't be read"):
        worker(line)


def test_bytes_are_a_text_or_base64() -> None:
    assert as_bytes("\u00e4") == b"\xc3\xa4"
    assert as_bytes({"base64": "/w=="}) == b"\xff"
    with pytest.raises(ValueError, match="must be a text"):
        as_bytes(5)
