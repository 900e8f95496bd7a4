"""Users in a file, and their passwords."""

import os
from pathlib import Path

import pytest

from gearman.errors import ConfigurationError
from gearman.monitor.access import users
from gearman.monitor.access.users import Users, is_right, make_hash, new_salt, parse

HASH = make_hash("secret", b"0123456789abcdef")


def test_password_fits_its_hash_only() -> None:
    assert is_right("secret", HASH)
    assert not is_right("Secret", HASH)
    assert make_hash("secret", new_salt()) != HASH


def test_hash_of_a_password_with_any_characters() -> None:
    assert is_right("p\u00e4ss\ud800", make_hash("p\u00e4ss\ud800", new_salt()))


def test_users_are_read() -> None:
    found = parse(f"# ours\n\nann:act:{HASH}\n  bob:view:{HASH}\n", "users")
    assert {name: user.role for name, user in found.items()} == {
        "ann": "act",
        "bob": "view",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "users has no users: 'gearman-monitor --hash' prints a line for it"),
        ("ann", "line 1 of users is not NAME:view:HASH or NAME:act:HASH"),
        (f"ann:root:{HASH}", "line 1 of users is not NAME:view"),
        (f":act:{HASH}", "line 1 of users is not NAME:view"),
        (f"a b:act:{HASH}", "line 1 of users is not NAME:view"),
        ("ann:act:secret", "line 1 of users has no hash that"),
        ("ann:act:scrypt$16384$8$1$=$=", "line 1 of users has no hash that"),
        ("ann:act:scrypt$16384$8$1$A$AAAA", "line 1 of users has no hash that"),
        ("ann:act:scrypt$16383$8$1$AAAA$AAAA", "has no hash that"),
        ("ann:act:scrypt$1024$99$1$AAAA$AAAA", "has no hash that"),
        ("ann:act:scrypt$1024$8$99$AAAA$AAAA", "has no hash that"),
        ("ann:act:scrypt$9999999$8$1$AAAA$AAAA", "has no hash that"),
        (f"ann:act:{HASH}\nann:view:{HASH}", "users has the user ann twice"),
    ],
)
def test_file_with_a_mistake_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "users")
    assert sentence in str(caught.value)


def write(path: Path, text: str, time: int) -> None:
    path.write_text(text)
    os.utime(path, (time, time))


def test_user_with_the_right_password_is_found(tmp_path: Path) -> None:
    path = tmp_path / "users"
    write(path, f"ann:act:{HASH}\n", 1)
    found = Users(str(path))
    user = found.check("ann", "secret")
    assert user is not None
    assert (user.name, user.role) == ("ann", "act")
    assert found.check("ann", "wrong") is None
    assert found.check("nobody", "") is None


def test_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "users"
    write(path, f"ann:act:{HASH}\n", 1)
    found = Users(str(path))
    write(path, f"bob:view:{HASH}\n", 2)
    assert found.find("ann") is None
    assert found.find("bob") is not None
    # A file with a mistake, or none, changes nothing.
    write(path, "nonsense\n", 3)
    assert found.find("bob") is not None
    path.unlink()
    assert found.find("bob") is not None


@pytest.mark.parametrize("content", [None, b"\xff\xff"])
def test_file_that_cannot_be_read_is_refused(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "users"
    if content is not None:
        path.write_bytes(content)
    why = "No such file or directory" if content is None else "it is not UTF-8"
    with pytest.raises(ConfigurationError, match=f"cannot be read: {why}"):
        Users(str(path))


def test_cost_of_a_hash_is_bounded() -> None:
    assert users._MOST_N * 16 * 128 <= 1 << 29
