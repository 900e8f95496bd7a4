"""A courier brings events to its target, tries again, and ends in time."""

from threading import Event
from time import monotonic
from types import SimpleNamespace

import pytest

from gearman.server.watch.hooks import courier as module
from gearman.server.watch.hooks.backlog import Backlog
from gearman.server.watch.hooks.courier import Courier, TargetError
from tests.servers import DEADLINE, until


class Scripted:
    """A target that fails as it is told to."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.lines = []
        self.closed = Event()
        self.attempts = 0

    def deliver(self, lines, stop):
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)
        self.lines += lines

    def close(self):
        self.closed.set()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)


def begun(target):
    backlog = Backlog()
    courier = Courier("h", backlog, target)
    courier.start()
    return backlog, courier


def soon():
    return monotonic() + DEADLINE


def test_events_are_delivered_before_the_end():
    target = Scripted()
    backlog, courier = begun(target)
    for number in range(250):
        backlog.put(b"%d\n" % number)
    courier.end(soon())
    assert target.lines == [b"%d\n" % number for number in range(250)]
    assert (courier.delivered, courier.failures, courier.error) == (250, 0, "")
    assert target.closed.is_set()


def test_failed_delivery_is_tried_again(monkeypatch):
    told = []
    log = SimpleNamespace(warning=lambda text, *words: told.append(text % words))
    monkeypatch.setattr(module, "log", log)
    target = Scripted(TargetError("no"), TargetError("no"), TargetError("still no"))
    backlog, courier = begun(target)
    backlog.put(b"1\n")
    until(lambda: courier.delivered)
    courier.end(soon())
    assert target.lines == [b"1\n"]
    assert (courier.delivered, courier.failures, courier.error) == (1, 3, "")
    assert told == [
        "hook h: events wait: no",
        "hook h: events wait: still no",
        "hook h: events are delivered again",
    ]


def test_events_that_are_never_taken_are_dropped():
    target = Scripted(TargetError("the answer is 404 Not Found", final=True))
    backlog, courier = begun(target)
    backlog.put(b"1\n")
    until(lambda: courier.refused)
    backlog.put(b"2\n")
    until(lambda: courier.delivered)
    courier.end(soon())
    assert target.lines == [b"2\n"]
    assert (courier.delivered, courier.refused, courier.failures) == (1, 1, 1)


def test_a_courier_that_fails_ends_at_once(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 1000.0)
    target = Scripted(TargetError("no"))
    backlog, courier = begun(target)
    backlog.put(b"1\n")
    until(lambda: courier.error)
    courier.end(soon())
    assert not courier.is_alive()
    assert target.attempts == 1
    assert target.closed.is_set()


def test_a_courier_that_hangs_is_told_to_stop():
    class Hanging(Scripted):
        def deliver(self, lines, stop):
            assert stop.wait(DEADLINE)
            raise TargetError("stopped")

    backlog, courier = begun(Hanging())
    backlog.put(b"1\n")
    courier.end(monotonic())
    courier.join(DEADLINE)
    assert not courier.is_alive()
    assert courier.delivered == 0
