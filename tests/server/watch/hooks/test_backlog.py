"""The backlog of a hook is bounded, and is emptied in its order."""

from threading import Thread

import pytest

from gearman.server.watch.hooks import backlog as module
from gearman.server.watch.hooks.backlog import BATCH, MOST_EVENTS, Backlog
from tests.servers import DEADLINE


@pytest.fixture
def backlog():
    return Backlog()


def put(backlog, line):
    """Put a line if there is room."""
    if backlog.has_room():
        backlog.put(line)


def test_lines_come_in_their_order_until_they_are_removed(backlog):
    backlog.put(b"1")
    backlog.put(b"2")
    assert backlog.batch() == backlog.batch() == [b"1", b"2"]
    backlog.remove(1)
    assert backlog.batch() == [b"2"]
    assert (backlog.waiting, backlog.dropped) == (1, 0)


def test_a_batch_is_limited(backlog):
    for _ in range(BATCH + 1):
        backlog.put(b"x")
    assert len(backlog.batch()) == BATCH


def test_too_many_lines_are_dropped(backlog):
    for _ in range(MOST_EVENTS + 2):
        put(backlog, b"")
    assert (backlog.waiting, backlog.dropped) == (MOST_EVENTS, 2)


def test_too_many_bytes_are_dropped(backlog, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    for _ in range(3):
        put(backlog, bytes(8))
    assert (backlog.waiting, backlog.dropped) == (2, 1)
    backlog.remove(1)
    put(backlog, b"1")
    assert (backlog.waiting, backlog.dropped) == (2, 1)


def test_a_closed_backlog_takes_nothing_but_gives_what_it_has(backlog):
    backlog.put(b"1")
    backlog.close()
    put(backlog, b"2")
    assert backlog.batch() == [b"1"]
    backlog.remove(1)
    assert backlog.batch() == []
    assert backlog.dropped == 1


@pytest.mark.parametrize(
    ("act", "found"), [(lambda b: b.put(b"1"), [b"1"]), (Backlog.close, [])]
)
def test_a_thread_that_waits_is_woken(backlog, act, found):
    batches = []
    thread = Thread(target=lambda: batches.append(backlog.batch()))
    thread.start()
    act(backlog)
    thread.join(DEADLINE)
    assert batches == [found]
