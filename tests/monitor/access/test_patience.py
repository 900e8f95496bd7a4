"""How often somebody may try passwords."""

import pytest

from gearman.monitor.access import patience
from gearman.monitor.access.patience import FREE, LONGEST, Attempts


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_some_wrong_passwords_are_free_and_then_pauses_double() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    waits = []
    for _ in range(FREE + 3):
        waits.append(attempts.wait("name ann", "address 1"))
        clock.now += waits[-1]
        attempts.failed("name ann", "address 1")
    assert waits == [0.0] * FREE + [1.0, 2.0, 4.0]


def test_pause_is_bounded() -> None:
    attempts = Attempts(Clock())
    for _ in range(100):
        attempts.failed("name ann")
    assert attempts.wait("name ann") == LONGEST
    assert attempts.wait("name bob") == 0.0
    # Another address does not help, and neither does another name.
    assert attempts.wait("name ann", "address 2") == LONGEST


def test_right_password_ends_the_count() -> None:
    attempts = Attempts(Clock())
    for _ in range(FREE):
        attempts.failed("name ann")
    attempts.succeeded("name ann", "address 1")
    assert attempts.wait("name ann") == 0.0


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOST", 2)
    attempts = Attempts(Clock())
    for name in ("a", "a", "a", "a", "a", "b", "c"):
        attempts.failed(name)
    assert attempts.wait("a") == 0.0
    assert len(attempts._wrong) == 2
