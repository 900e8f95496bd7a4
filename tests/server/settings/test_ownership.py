"""Log and pid file of a server that starts as root and changes its user."""

import os
import pwd
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from gearman.errors import StartupError
from gearman.server.settings.ownership import is_beyond, open_for
from gearman.server.settings.process import PidFile
from tests import servers

ours = partial(servers.ours, fresh=True)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")

NOBODY = pwd.getpwnam("nobody")
NEW = os.O_WRONLY | os.O_APPEND | os.O_CREAT


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of root's that every user can enter."""
    with tempfile.TemporaryDirectory(prefix="gearman-ownership-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def theirs(place: Path) -> Path:
    """A folder of the user's."""
    folder = place / "theirs"
    folder.mkdir()
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    return folder


def owner(path: Path) -> int:
    return path.stat().st_uid


def open_once(path: Path) -> None:
    os.close(open_for(NOBODY, str(path), NEW, 0o644))


@pytest.mark.parametrize("folder", ["place", "theirs"])
def test_new_file_is_the_users(folder: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(folder) / "log"
    open_once(path)
    assert owner(path) == NOBODY.pw_uid
    assert os.geteuid() == 0


def test_file_of_root_in_a_folder_of_root_becomes_the_users(place: Path) -> None:
    path = place / "log"
    path.touch()
    open_once(path)
    assert owner(path) == NOBODY.pw_uid


Trap = Callable[[Path, Path], Path]


def link(theirs: Path, secret: Path) -> Path:
    (theirs / "log").symlink_to(secret)
    return theirs / "log"


def hard_link(theirs: Path, secret: Path) -> Path:
    (theirs / "log").hardlink_to(secret)
    return theirs / "log"


def folder_link(theirs: Path, secret: Path) -> Path:
    (theirs / "logs").symlink_to(secret.parent)
    return theirs / "logs" / secret.name


def link_of_root_to_a_link(theirs: Path, secret: Path) -> Path:
    (theirs / "logs").symlink_to("../secrets")
    (theirs.parent / "way").symlink_to(theirs)
    return theirs.parent / "way" / "logs" / secret.name


def link_in_a_folder_for_all(theirs: Path, secret: Path) -> Path:
    shared = theirs.parent / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    path = shared / "log"
    path.symlink_to(secret)
    os.lchown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    return path


@pytest.mark.parametrize(
    "trap",
    [
        *(link, hard_link, folder_link, link_of_root_to_a_link),
        link_in_a_folder_for_all,
    ],
)
def test_file_that_the_user_leads_to_stays_roots(theirs: Path, trap: Trap) -> None:
    secret = theirs.parent / "secrets" / "secret"
    secret.parent.mkdir()
    secret.write_text("kept")
    secret.chmod(0o600)
    path = trap(theirs, secret)
    assert not is_beyond(NOBODY, str(path))
    open_once(path)
    assert owner(secret) == 0
    with pytest.raises(StartupError):
        PidFile(str(path), NOBODY).write()
    assert secret.read_text() == "kept"
    assert os.listdir(secret.parent) == ["secret"]


def test_links_of_root_are_followed(place: Path) -> None:
    (place / "real").mkdir()
    (place / "link").symlink_to("real")
    open_once(place / "link" / "log")
    assert owner(place / "real" / "log") == NOBODY.pw_uid


def test_links_in_a_circle_end(place: Path) -> None:
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        open_once(place / "a")


@pytest.mark.parametrize("folder", ["place", "theirs"])
def test_log_can_be_opened_again_after_rotation(
    folder: str, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(folder)
    log = path / "log"
    with ours("-u", "nobody", "-l", str(log)) as server:
        assert owner(log) == NOBODY.pw_uid
        log.rename(path / "log.1")
        if folder == "place":
            # As logrotate does with `create`.
            log.touch()
            os.chown(log, NOBODY.pw_uid, NOBODY.pw_gid)
        server.process.send_signal(signal.SIGHUP)
        servers.until(log.exists)
        servers.end(server.process)
    assert "stopped" in log.read_text()
    assert "cannot be opened" not in (path / "log.1").read_text()


def test_log_that_cannot_be_opened_again_is_kept_and_says_so(place: Path) -> None:
    log, old = place / "log", place / "log.1"
    with ours("-u", "nobody", "-l", str(log)) as server:
        log.rename(old)
        server.process.send_signal(signal.SIGHUP)
        servers.until(lambda: "cannot be opened again" in old.read_text())
        servers.end(server.process)
    assert "stopped" in old.read_text()
    assert not log.exists()


def test_log_of_root_that_stays_roots_is_warned_of(theirs: Path) -> None:
    log = theirs / "log"
    log.touch()
    with ours("-u", "nobody", "-l", str(log)):
        assert "change its owner to nobody" in log.read_text()
    assert owner(log) == 0


def test_pid_file_in_a_folder_of_the_user_is_removed(theirs: Path) -> None:
    pid = theirs / "pid"
    with ours("-u", "nobody", "-P", str(pid)) as server:
        assert pid.read_text() == f"{server.process.pid}\n"
        assert owner(pid) == NOBODY.pw_uid
    assert os.listdir(theirs) == []


def test_pid_file_in_a_folder_of_root_is_emptied(place: Path) -> None:
    pid = place / "pid"
    for _ in range(2):
        with ours("-u", "nobody", "-P", str(pid)) as server:
            assert pid.read_text() == f"{server.process.pid}\n"
            assert owner(pid) == NOBODY.pw_uid
        assert pid.read_text() == ""
    assert os.listdir(place) == ["pid"]


def test_pid_file_of_a_living_server_is_refused_whoever_owns_it(theirs: Path) -> None:
    pid = theirs / "pid"
    with (
        ours("-u", "nobody", "-P", str(pid)) as server,
        pytest.raises(StartupError, match=f"as process {server.process.pid};"),
    ):
        PidFile(str(pid), NOBODY).write()
