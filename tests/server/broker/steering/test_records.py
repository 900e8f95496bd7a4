"""What the store keeps of jobs is read back as it was."""

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearman.options import Backoff, Dead, JobOptions
from gearman.server.broker import Broker
from gearman.server.broker.model import Extra
from gearman.server.broker.steering.records import (
    MAX_ATTEMPTS,
    job_extra,
    job_record,
    join,
    split,
)
from tests.server.conftest import Server

ROW = (b"H:test:5", b"f", b"", b"w", 1, 0, 0, None)

times = st.integers(0, 2**32).map(float) | st.just(1700000000.125)
options = st.builds(
    JobOptions,
    at=st.none() | times,
    ttl=st.none() | st.just(1.5),
    retries=st.none() | st.integers(0, 2**31 - 1),
    backoff=st.none() | st.just(Backoff("exponential", 1.0, 60.0)),
    dead=st.none()
    | st.just(Dead("list"))
    | st.binary(min_size=1, max_size=20)
    .filter(lambda name: b"\0" not in name)
    .map(lambda name: Dead("function", name)),
    after=st.none() | st.just((b"H:a:1", b"H:b:2")),
    background=st.none() | st.booleans(),
    priority=st.none() | st.integers(0, 2),
)


@st.composite
def extras(draw):
    extra = Extra(draw(st.none() | options), draw(times))
    extra.due = draw(times)
    extra.expires = draw(times | st.just(-1.0))
    extra.attempts = draw(st.integers(0, MAX_ATTEMPTS))
    extra.moved = draw(st.booleans())
    extra.died = draw(times)
    if extra.died:
        extra.reason = draw(st.binary(max_size=30))
        extra.error = draw(st.none() | st.binary(max_size=30))
    return extra


FIELDS = (
    *("submitted", "due", "expires", "attempts", "moved", "died", "reason", "error"),
    "options",
)


@given(extras())
def test_what_a_job_had_is_read_as_it_was_written(extra):
    read = job_extra(split(job_record(extra)))
    for name in FIELDS:
        assert getattr(read, name) == getattr(extra, name), name
    assert job_record(read) == job_record(extra)


keys = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1).map(str.encode)


@given(st.dictionaries(keys, st.binary(), min_size=1))
def test_fields_are_read_as_they_were_written(fields):
    text = join(fields)
    assert split(text) == fields
    assert text.isascii()
    assert b"\0" not in text


@pytest.mark.parametrize(
    "extra",
    [
        *(b"x", b"&", b"=&=x&", b"kind=job&x", b"kind=x", b"kind=", b"due=x"),
        *(b"attempts=x", b"attempts=-1", b"attempts=1e3", b"attempts=%d" % 2**31),
        *(b"options=retries", b"options=x%3D1", b"kind=result", b"due=1e999"),
        *(b"kind=result&state=x&expires=1", b"kind=result&state=done&expires=nan"),
        *(b"kind=result&expires=9", b"kind=dead&died=-inf", b"submitted=" + b"9" * 400),
    ],
)
def test_bad_record_is_an_error_and_changes_nothing(extra):
    server = Server(persistent=True)
    with pytest.raises(ValueError, match=r"."):
        server.broker.stored.restore(5, *ROW, extra)
    check_unchanged(server.broker)


pieces = st.sampled_from(
    [b"kind", b"=", b"&", b"job", b"dead", b"result", b"due", b"%31", b"1", b"nan"]
    + [b"attempts", b"options", b"retries%3D1", b"expires", b"state", b"done", b"-"]
)


@given(st.lists(pieces, max_size=12).map(b"".join) | st.binary(min_size=1, max_size=20))
def test_record_is_read_or_is_an_error(extra):
    server = Server(persistent=True)
    try:
        server.broker.stored.restore(5, *ROW, extra)
    except ValueError:
        check_unchanged(server.broker)
    else:
        server.broker.stored.restored()
        server.after(1e9)


def check_unchanged(broker: Broker) -> None:
    assert broker.jobs.known == {}
    assert broker.dead.known == {}
    assert broker.results.known == {}
    assert broker.memory.jobs == 0


@pytest.mark.parametrize("time", [nan, inf, -inf])
def test_time_that_is_none_is_an_error(time):
    extra = Extra(None, 1.0)
    extra.due = time
    with pytest.raises(ValueError, match="due is no time"):
        job_extra(split(job_record(extra)))
