"""Settings that change while the server runs: the settings file, read again on HUP."""

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.server.net.facts.test_limits import limits
from tests.servers import DEADLINE, Server, ours, until
from tests.wire import Peer


@pytest.fixture
def file() -> Iterator[Path]:
    """A file in a folder that every user can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="gearman-settings-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder, "settings.toml")


@pytest.fixture(params=[True, False], ids=["pure", "built"])
def pure(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def reload(server: Server, file: Path, text: str) -> str:
    """Change the file, send HUP, and return the line in the log about it."""
    before = server.log.read_text()
    file.write_text(text)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: "settings" in server.log.read_text()[len(before) :])
    until(lambda: server.log.read_text().endswith("\n"))
    lines = server.log.read_text()[len(before) :].splitlines()
    (line,) = [line for line in lines if "settings" in line]
    return line


def submit(peer: Peer, function: bytes, count: int) -> list[str]:
    """Submit so many jobs, and return the names of the answers."""
    answers = []
    for _ in range(count):
        peer.send("SUBMIT_JOB_BG", function, b"", b"w")
        answers.append(peer.receive()[0])
    return answers


def test_limits_of_the_file_replace_those_of_the_command_line(
    file: Path, pure: bool
) -> None:
    file.write_text("[limits]\nmax-jobs = 2")
    options = ["--settings", str(file), "--max-jobs=5", "--max-functions=50"]
    with ours(*options, pure=pure) as server, Peer(server.port) as peer:
        assert limits(peer)[b"max-jobs"][0] == b"2"
        assert limits(peer)[b"max-functions"][0] == b"50"
        answers = submit(peer, b"f", 3)
        assert answers == ["JOB_CREATED", "JOB_CREATED", "ERROR"]
        line = reload(server, file, "[limits]\nmax-jobs = 3\nmax-functions = 1")
        assert line.endswith(
            "settings read again: 0 policies, 0 schedules, 2 limits, 0 hooks, 0 relays"
        )
        assert " NOTICE " in line
        assert submit(peer, b"f", 2) == ["JOB_CREATED", "ERROR"]
        assert limits(peer)[b"max-jobs"] == [b"3", b"3", b"2"]
        assert limits(peer)[b"max-functions"][0] == b"1"
        # A limit that is no longer in the file is that of the command line again.
        reload(server, file, "")
        assert limits(peer)[b"max-jobs"][0] == b"5"
        assert limits(peer)[b"max-functions"][0] == b"50"
        assert submit(peer, b"g", 3) == ["JOB_CREATED", "JOB_CREATED", "ERROR"]


def test_limit_of_each_function_changes_unless_maxqueue_has_set_one(
    file: Path, pure: bool
) -> None:
    file.write_text("[limits]\nmax-jobs-per-function = 1")
    options = ["--settings", str(file)]
    with ours(*options, pure=pure) as server, Peer(server.port) as peer:
        assert peer.ask(b"maxqueue g 2") == b"OK\r\n"
        assert submit(peer, b"f", 2) == ["JOB_CREATED", "ERROR"]
        reload(server, file, "[limits]\nmax-jobs-per-function = 3")
        assert submit(peer, b"f", 3) == ["JOB_CREATED", "JOB_CREATED", "ERROR"]
        assert submit(peer, b"g", 3) == ["JOB_CREATED", "JOB_CREATED", "ERROR"]
        assert submit(peer, b"h", 4)[2:] == ["JOB_CREATED", "ERROR"]
        assert limits(peer)[b"max-jobs-per-function"][0] == b"3"


def test_memory_for_jobs_follows_that_for_all(file: Path, pure: bool) -> None:
    file.write_text("[limits]\nmax-memory = '100M'")
    options = ["--settings", str(file)]
    with ours(*options, pure=pure) as server, Peer(server.port) as peer:
        first = limits(peer)
        assert first[b"max-memory"][0] == b"%d" % (100 * 1024**2)
        assert first[b"max-job-memory"][0] == b"%d" % (75 * 1024**2)
        assert first[b"max-packet"][0] == b"%d" % (75 * 1024**2)
        reload(server, file, "[limits]\nmax-memory = '200M'")
        second = limits(peer)
        assert second[b"max-memory"][0] == b"%d" % (200 * 1024**2)
        assert second[b"max-job-memory"][0] == b"%d" % (150 * 1024**2)
        assert second[b"max-packet"][0] == b"%d" % (75 * 1024**2)


def test_number_of_connections_changes(file: Path) -> None:
    file.write_text("[limits]\nmax-connections = 2")
    with ours("--settings", str(file)) as server, ExitStack() as stack:
        first = stack.enter_context(Peer(server.port))
        # The connection that asked whether the server runs may not be closed yet.
        until(lambda: limits(first)[b"max-connections"][1] == b"1")
        stack.enter_context(Peer(server.port)).fence()
        with Peer(server.port) as late:
            assert late.receive_end() == b""
        reload(server, file, "[limits]\nmax-connections = 3")
        stack.enter_context(Peer(server.port)).fence()
        reload(server, file, "[limits]\nmax-connections-per-address = 1")
        with Peer(server.port) as late:
            assert late.receive_end() == b""
        assert first.fence() == []


def test_bad_file_changes_nothing(file: Path) -> None:
    file.write_text("[limits]\nmax-jobs = 2")
    with ours("--settings", str(file)) as server, Peer(server.port) as peer:
        line = reload(server, file, "[limits]\nmax-jobs = 3\nmax-functions = 'x'")
        assert " ERROR " in line
        assert f"the settings in use are kept: {file}: [limits]: max-functions " in line
        assert limits(peer)[b"max-jobs"][0] == b"2"


def schedules(peer: Peer) -> dict[bytes, list[bytes]]:
    """Return the columns of `show schedules` by name: cron, function, and so on."""
    rows = (row.split(b"\t") for row in peer.ask_list(b"show schedules"))
    return {name: columns for name, *columns in rows}


def schedule(name: str, cron: str, function: str, more: str = "") -> str:
    return f"[schedules.{name}]\ncron='{cron}'\nfunction='{function}'\n{more}\n"


def test_schedules_are_added_changed_and_removed(file: Path, pure: bool) -> None:
    utc = "timezone = 'UTC'"
    file.write_text(schedule("a", "@yearly", "f", utc) + schedule("b", "@daily", "f"))
    with ours("--settings", str(file), pure=pure) as server, Peer(server.port) as peer:
        first = schedules(peer)
        assert list(first) == [b"a", b"b"]
        assert first[b"a"][:2] == [b"@yearly", b"f"]
        assert peer.ask(b"pause schedule a") == b"OK\r\n"
        text = schedule("a", "0  0 1 7 *", "g", utc) + schedule("c", "@hourly", "f")
        line = reload(server, file, text)
        assert line.endswith(
            "settings read again: 0 policies, 2 schedules, 0 limits, 0 hooks, 0 relays"
        )
        second = schedules(peer)
        assert list(second) == [b"a", b"c"]
        # What the command has set stays.
        assert (*second[b"a"][:2], second[b"a"][4]) == (b"0 0 1 7 *", b"g", b"1")
        following = datetime.fromtimestamp(int(second[b"a"][2]), UTC)
        assert (following.month, following.day, following.hour) == (7, 1, 0)
        assert peer.ask(b"run schedule b") == b"ERR schedule not found\r\n"
        assert peer.ask(b"run schedule a") == b"OK\r\n"
        assert peer.ask_list(b"status") == [b"g\t1\t0\t0"]
        reload(server, file, "")
        assert schedules(peer) == {}


def test_pause_of_a_schedule_outlives_a_restart(
    file: Path, tmp_path: Path, pure: bool
) -> None:
    file.write_text("".join(schedule(name, "@yearly", "f") for name in "abc"))
    database = f"--sqlite-db={tmp_path}/jobs.db"
    options = ["--settings", str(file), "-q", "sqlite", database]
    with ours(*options, pure=pure) as server, Peer(server.port) as peer:
        for verb in (b"pause schedule a", b"pause schedule b", b"resume schedule b"):
            assert peer.ask(verb) == b"OK\r\n"
        # When the job is stored, so is what was to be stored before it.
        assert submit(peer, b"f", 1) == ["JOB_CREATED"]
        server.process.kill()
        server.process.wait(DEADLINE)
    # Now the file says that all are paused.
    paused = "paused = true"
    file.write_text("".join(schedule(name, "@yearly", "f", paused) for name in "abc"))
    with ours(*options, pure=pure) as server, Peer(server.port) as peer:
        rows = schedules(peer)
        states = {name: columns[4] for name, columns in rows.items()}
        assert states == {b"a": b"1", b"b": b"0", b"c": b"1"}
        assert peer.ask(b"resume schedule a") == b"OK\r\n"
    with ours(*options, pure=pure) as server, Peer(server.port) as peer:
        assert schedules(peer)[b"a"][4] == b"0"
        assert peer.ask_list(b"status") == [b"f\t1\t0\t0"]


def test_schedule_that_was_set_outlives_a_restart(tmp_path: Path, pure: bool) -> None:
    options = ["-q", "sqlite", f"--sqlite-db={tmp_path}/jobs.db"]
    text = b"cron=@yearly&function=f&owner=shop"
    with ours(*options, pure=pure) as server, Peer(server.port) as peer:
        for name in (b"a", b"b"):
            assert peer.ask(b"set schedule %b %b" % (name, text)) == b"OK\r\n"
        assert peer.ask(b"unset schedule b") == b"OK\r\n"
        assert peer.ask(b"run schedule a") == b"OK\r\n"
        server.process.send_signal(signal.SIGHUP)
        assert peer.fence() == []
        assert list(schedules(peer)) == [b"a"]
    with ours(*options, pure=pure) as server, Peer(server.port) as peer:
        assert schedules(peer)[b"a"][4:] == [b"0", b"command", b"shop"]
        assert peer.ask_list(b"status") == [b"f\t1\t0\t0"]


def test_server_without_a_file_ignores_hup() -> None:
    with ours() as server, Peer(server.port) as peer:
        server.process.send_signal(signal.SIGHUP)
        assert peer.fence() == []
        assert "settings" not in server.log.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_file_is_read_before_the_server_becomes_another_user(file: Path) -> None:
    file.write_text("[limits]\nmax-jobs = 2")
    file.chmod(0o600)
    options = ["--settings", str(file), "-u", "nobody"]
    with ours(*options) as server, Peer(server.port) as peer:
        assert limits(peer)[b"max-jobs"][0] == b"2"
        line = reload(server, file, "[limits]\nmax-jobs = 3")
        assert line.endswith("cannot be read: Permission denied")
        assert limits(peer)[b"max-jobs"][0] == b"2"
