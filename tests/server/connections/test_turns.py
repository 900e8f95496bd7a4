"""Turns: what is put off goes on after others were answered."""

from collections.abc import Callable

import pytest

from gearman.server.broker import Broker
from gearman.server.connections.turns import ALLOWANCE, ALLOWANCE_OF_ALL, Turns


class Loop:
    """An event loop that runs what was called soon, a round at a time."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, function: Callable[[], None]) -> None:
        self.soon.append(function)

    def round(self) -> None:
        functions, self.soon = self.soon, []
        for function in functions:
            function()


class Site:
    """Turns with a loop and a clock of the test; `events` is what has happened."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.events: list[str] = []
        self.now = 0.0
        broker = Broker(handle_prefix=b"H:test")
        end = self.note("end")
        self.turns = Turns(broker, self.loop, end)  # type: ignore[arg-type]
        self.turns._time = lambda: self.now

    def note(self, event: str) -> Callable[[], None]:
        return lambda: self.events.append(event)

    def rest(self, event: str) -> Callable[[], None]:
        """Return what a connection does that goes on."""

        def go_on() -> None:
            self.turns.begin()
            self.events.append(event)

        return go_on

    def rounds(self) -> list[str]:
        """Run the loop until it has nothing to do, and return what has happened."""
        while self.loop.soon:
            self.loop.round()
        return self.events


@pytest.fixture
def site() -> Site:
    return Site()


def test_what_is_put_off_is_a_turn_of_its_own(site):
    site.turns.begin()
    site.turns.put_off(site.rest("a"))
    site.turns.put_off(site.rest("b"))
    assert site.rounds() == ["end", "a", "b", "end"]


def test_outside_of_a_turn_it_goes_on_as_well(site):
    site.turns.put_off(site.rest("a"))
    assert site.rounds() == ["a", "end"]


def test_input_that_came_meanwhile_is_answered_first(site):
    site.turns.put_off(site.rest("a"))
    site.turns.begin()
    assert site.rounds() == ["end", "a", "end"]


def test_only_one_turn_goes_first_if_there_is_always_input(site):
    site.turns.put_off(site.rest("a"))
    for _ in range(3):
        site.turns.begin()
        site.loop.round()
    assert "a" in site.events[:2]


def test_next_rest_lets_another_turn_go_first(site):
    for event in ("a", "b"):
        site.turns.put_off(site.rest(event))
        site.turns.begin()
        site.rounds()
    assert site.events == ["end", "a", "end"] + ["end", "b", "end"]


def test_those_who_go_on_share_the_time_of_a_turn(site):
    several = int(ALLOWANCE_OF_ALL / ALLOWANCE) * 2
    ends: list[bool] = []

    def go_on() -> None:
        site.turns.begin()
        begun = site.now
        site.now = begun + ALLOWANCE / 2 - 1e-6
        ends.append(site.turns.late())
        site.now = begun + ALLOWANCE / 2 + 1e-6
        ends.append(site.turns.late())

    for _ in range(several):
        site.turns.put_off(go_on)
    site.rounds()
    assert ends == [False, True] * several


def test_answer_is_late_after_half_of_the_time(site):
    site.turns.begin()
    site.now = ALLOWANCE / 2 - 1e-6
    assert (site.turns.half_late(), site.turns.late()) == (False, False)
    site.now = ALLOWANCE / 2 + 1e-6
    assert (site.turns.half_late(), site.turns.late()) == (True, False)
    site.now = ALLOWANCE + 1e-6
    assert (site.turns.half_late(), site.turns.late()) == (True, True)
