"""When a job of SUBMIT_JOB_SCHED runs: the first minute that fits."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.commands import Command
from gearman.server.protocols.calendar import FIELDS, next_time

ANY = (b"", b"", b"", b"", b"")


@pytest.fixture(autouse=True)
def _zone() -> Iterator[None]:
    """Tests say the zone that they need, and begin in UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC0")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def berlin() -> Iterator[None]:
    """The clocks of Berlin, by a rule that needs no table of zones."""
    # Not the fixture `monkeypatch`, which may end after `_zone`, and would restore UTC.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


# What is asked for; now; when it runs.
CASES = [
    ((b"30", b"3", b"", b"", b""), "2026-03-01 03:29:59", "2026-03-01 03:30"),
    ((b"30", b"3", b"", b"", b""), "2026-03-01 03:31:00", "2026-03-02 03:30"),
    ((b"30", b"", b"", b"", b""), "2026-03-01 03:31:00", "2026-03-01 04:30"),
    ((b"", b"3", b"", b"", b""), "2026-03-01 03:31:10", "2026-03-01 03:31"),
    ((b"0", b"0", b"31", b"", b""), "2026-04-01 00:00:01", "2026-05-31 00:00"),
    ((b"0", b"0", b"1", b"1", b""), "2026-01-01 00:01:00", "2027-01-01 00:00"),
    ((b"0", b"0", b"", b"", b"0"), "2026-11-29 12:00:00", "2026-11-30 00:00"),
    ((b"0", b"0", b"", b"", b"6"), "2026-11-30 12:00:00", "2026-12-06 00:00"),
    ((b"0", b"0", b"29", b"2", b""), "2026-11-29 12:00:00", "2028-02-29 00:00"),
    ((b"0", b"0", b"29", b"2", b"0"), "2026-11-29 12:00:00", "2044-02-29 00:00"),
    ((b"*", b"*", b"*", b"12", b"*"), "2026-11-29 12:00:00", "2026-12-01 00:00"),
]


@pytest.mark.parametrize(("fields", "now", "when"), CASES)
def test_job_runs_in_the_first_minute_that_fits(
    fields: tuple[bytes, ...], now: str, when: str
) -> None:
    assert shown(next_time(fields, at(now))) == when


def test_minute_of_now_fits_what_asks_for_nothing() -> None:
    assert next_time(ANY, 1_700_000_059.5) == 1_700_000_040


@pytest.mark.usefixtures("berlin")
def test_hour_that_the_clocks_leave_out_is_that_of_the_next_day() -> None:
    fields = (b"30", b"2", b"", b"", b"")
    assert shown(next_time(fields, at("2026-03-29 00:00:00"))) == "2026-03-30 00:30"


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("now", "when"),
    [
        ("2026-10-24 23:00:00", "2026-10-25 00:30"),
        ("2026-10-25 00:31:00", "2026-10-25 01:30"),
        ("2026-10-25 01:31:00", "2026-10-26 01:30"),
    ],
)
def test_hour_that_comes_twice_fits_twice(now: str, when: str) -> None:
    fields = (b"30", b"2", b"", b"", b"")
    assert shown(next_time(fields, at(now))) == when


@given(
    fields=st.tuples(
        *(
            st.one_of(st.just(b"*"), st.integers(*limits).map(lambda n: b"%d" % n))
            for limits in FIELDS.values()
        )
    ),
    now=st.floats(0, 4e9),
)
def test_what_is_found_fits_and_is_not_past(
    fields: tuple[bytes, ...], now: float
) -> None:
    try:
        seconds = next_time(fields, now)
    except ValueError:
        assert int(fields[2].replace(b"*", b"0")) > 29
        return
    assert seconds > now - 60
    found = datetime.fromtimestamp(seconds, UTC)
    have = (found.minute, found.hour, found.day, found.month, found.weekday())
    for text, value in zip(fields, have, strict=True):
        assert text == b"*" or int(text) == value


@pytest.mark.parametrize("place", range(len(FIELDS)))
@pytest.mark.parametrize("text", [b"-1", b"60", b"1,2", b"x", b"000", b" 1", b"*/5"])
def test_field_that_is_none_is_refused(server, place: int, text: bytes) -> None:
    fields = [b"*"] * len(FIELDS)
    fields[place] = text
    name, (least, most) = list(FIELDS.items())[place]
    answer = server.connect().send(Command.SUBMIT_JOB_SCHED, b"f", b"", *fields, b"w")
    sentence = f"The {name} is a number from {least} to {most}, or *"
    assert answer == [(Command.ERROR, b"INVALID_ARGUMENTS", sentence.encode())]
    assert server.broker.jobs.known == {}


def test_day_that_no_month_has_is_refused(server) -> None:
    answer = server.connect().send(
        Command.SUBMIT_JOB_SCHED, b"f", b"", b"0", b"0", b"31", b"2", b"*", b"w"
    )
    text = b"There is no such day of the month"
    assert answer == [(Command.ERROR, b"INVALID_ARGUMENTS", text)]


def test_job_is_scheduled_in_the_background(server) -> None:
    client, worker = server.connect(), server.worker()
    when = time.gmtime(server.wall + 120)
    minute, hour = b"%d" % when.tm_min, b"%d" % when.tm_hour
    ((answer, handle),) = client.send(
        Command.SUBMIT_JOB_SCHED, b"f", b"", minute, hour, b"", b"", b"", b"w"
    )
    assert answer == Command.JOB_CREATED
    client.leave()
    assert server.after(59) > 0
    assert worker.got() == []
    server.after(61)
    assert worker.got() == [(Command.NOOP,)]
    assert worker.grab() == handle
