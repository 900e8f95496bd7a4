"""Sessions: who has logged in, and for how long."""

import os
from pathlib import Path

import pytest

from gearman.monitor.access import sessions as module
from gearman.monitor.access.sessions import ANYBODY, IDLE, LONGEST, Sessions, Visitor
from gearman.monitor.access.users import User, Users, make_hash

HASH = make_hash("secret", b"0123456789abcdef")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.write_text(f"ann:act:{HASH}\nbob:view:{HASH}\n")
    os.utime(path, (1, 1))
    return path


@pytest.fixture
def users(path: Path) -> Users:
    return Users(str(path))


@pytest.fixture
def clock() -> Clock:
    return Clock()


def user(users: Users, name: str) -> User:
    found = users.find(name)
    assert found is not None
    return found


def test_who_has_logged_in_is_found_by_the_key(users: Users, clock: Clock) -> None:
    sessions = Sessions(users, clock)
    ann, bob = (sessions.begin(user(users, name)) for name in ("ann", "bob"))
    first, second = sessions.find(ann), sessions.find(bob)
    assert first is not None
    assert second is not None
    assert (first.name, first.role, first.may_act) == ("ann", "act", True)
    assert (second.name, second.may_act) == ("bob", False)
    assert first.is_token(first.token)
    assert not first.is_token(second.token)
    assert not first.is_token("\u00e4\ud800")


@pytest.mark.parametrize("key", ["", "guess", "\ud800"])
def test_nobody_has_an_unknown_key(key: str, users: Users, clock: Clock) -> None:
    assert Sessions(users, clock).find(key) is None


def test_session_ends_when_it_is_ended(users: Users, clock: Clock) -> None:
    sessions = Sessions(users, clock)
    key = sessions.begin(user(users, "ann"))
    sessions.end(key)
    sessions.end(key)
    assert sessions.find(key) is None


def test_session_without_requests_ends(users: Users, clock: Clock) -> None:
    sessions = Sessions(users, clock)
    key = sessions.begin(user(users, "ann"))
    clock.now = IDLE - 1
    assert sessions.find(key) is not None
    clock.now = 2 * IDLE
    assert sessions.find(key) is None


def test_session_ends_at_last(users: Users, clock: Clock) -> None:
    sessions = Sessions(users, clock)
    key = sessions.begin(user(users, "ann"))
    while clock.now < LONGEST:
        assert sessions.find(key) is not None
        clock.now += IDLE / 2
    clock.now += 1
    assert sessions.find(key) is None


@pytest.mark.parametrize("line", [f"ann:view:{HASH}\n", f"eve:act:{HASH}\n"])
def test_session_of_a_changed_user_ends(
    line: str, path: Path, users: Users, clock: Clock
) -> None:
    sessions = Sessions(users, clock)
    key = sessions.begin(user(users, "ann"))
    path.write_text(line)
    os.utime(path, (2, 2))
    assert sessions.find(key) is None


def test_only_so_many_sessions_are_kept(
    users: Users, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 2)
    sessions = Sessions(users, clock)
    keys = []
    for _ in range(3):
        clock.now += 1
        keys.append(sessions.begin(user(users, "ann")))
    assert [sessions.find(key) is not None for key in keys] == [False, True, True]


def test_without_users_everybody_may_act(clock: Clock) -> None:
    sessions = Sessions(None, clock)
    assert not sessions.are_needed
    found = sessions.find("")
    assert isinstance(found, Visitor)
    assert (found.name, found.may_act) == (ANYBODY, True)
    assert found == sessions.find("any")
