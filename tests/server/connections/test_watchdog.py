"""What is left of ended connections is freed, and nothing is done if nothing is."""

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from gearman.server.broker import Peer
from gearman.server.connections.watchdog import Watchdog


class Loop:
    """An event loop whose timers the test runs."""

    def __init__(self) -> None:
        self.timers: list[Callable[[], None]] = []

    def call_later(self, delay: float, function: Callable[[], None]) -> object:
        self.timers.append(function)
        return function

    def run(self) -> None:
        timers, self.timers = self.timers, []
        for function in timers:
            function()


class Site:
    """A watchdog with a loop of the test; `light` is whether a collection is cheap."""

    def __init__(self) -> None:
        self.light = True
        self.loop = Loop()
        self.interrupts = 0
        loop = cast("Any", self.loop)
        self.watchdog = Watchdog(loop, self._interrupt, lambda: self.light)

    def _interrupt(self) -> None:
        self.interrupts += 1

    def leave(self) -> weakref.ref[Peer]:
        """End a connection that is in a reference cycle; return a reference to it."""
        peer = Peer("here", 1)
        peer.connection = [peer]
        self.watchdog.freed(peer)
        return weakref.ref(peer)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture(autouse=True)
def collections() -> Iterator[list[int]]:
    """The generation of each collection, which are those of the watchdog only."""
    found: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            found.append(info["generation"])

    gc.disable()
    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)
    gc.enable()


def test_nothing_is_collected_if_all_is_freed(site, collections):
    site.watchdog.freed(Peer("here", 1))
    site.loop.run()
    assert collections == []


def test_cycle_with_a_peer_is_collected(site):
    left = site.leave()
    site.loop.run()
    assert left() is None


def test_one_look_is_for_all_that_have_ended(site, collections):
    left = [site.leave(), site.leave()]
    site.loop.run()
    assert collections == [2]
    assert [one() for one in left] == [None, None]
    assert site.interrupts == 1


def test_what_is_kept_is_no_reason_for_another_collection(site, collections):
    kept = Peer("here", 1)
    site.watchdog.freed(kept)
    site.loop.run()
    site.watchdog.freed(Peer("here", 2))
    site.loop.run()
    assert collections == [2]


def test_cycle_stays_as_long_as_a_collection_is_expensive(site, collections):
    left = site.leave()
    site.light = False
    site.loop.run()
    assert left() is not None
    assert collections == []
    site.light = True
    site.watchdog.freed(Peer("here", 2))
    site.loop.run()
    assert left() is None
