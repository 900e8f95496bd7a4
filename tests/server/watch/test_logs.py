"""The log: lines, targets, and failures that must not stop the server."""

import gc
import json
import logging
import os
import pty
import re
import socket
import subprocess
import sys
import syslog
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from gearman.errors import StartupError
from gearman.server.settings.config import Config
from gearman.server.settings.levels import LEVELS
from gearman.server.watch.logs import (
    ALERT,
    FATAL,
    MAX_RECORD,
    NOTICE,
    Log,
    configure,
    level_name,
)
from tests.servers import DEADLINE, ours, package_environment
from tests.wire import Peer

log = logging.getLogger("gearman.server")

Start = Callable[..., Log]


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_to_be_told() -> None:
    """What other tests have left is told by asyncio when the collector finds it."""
    gc.collect()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start logs, which are closed at the end of the test."""
    with ExitStack() as stack:

        def configured(**settings: object) -> Log:
            result = configure(Config(**settings))  # type: ignore[arg-type]
            stack.callback(result.close)
            return result

        yield configured


@pytest.fixture
def file(tmp_path: Path, start: Start) -> Path:
    path = tmp_path / "log"
    start(log_file=str(path), level=logging.DEBUG)
    return path


# -- levels


@pytest.mark.parametrize(("name", "level"), LEVELS.items())
def test_level_has_gearmands_name(name: str, level: int) -> None:
    assert level_name(level) == name
    assert name == "FATAL" or logging.getLevelName(level) == name


def test_level_fatal_of_logging_is_as_before() -> None:
    assert logging.getLevelName("FATAL") == logging.FATAL


def test_levels_are_in_order_of_importance() -> None:
    assert list(LEVELS.values()) == sorted(LEVELS.values(), reverse=True)
    assert FATAL > ALERT > logging.CRITICAL
    assert logging.WARNING > NOTICE > logging.INFO


@pytest.mark.parametrize(
    ("level", "name"), [(100, "FATAL"), (35, "WARNING"), (11, "DEBUG"), (0, "DEBUG")]
)
def test_level_between_has_the_name_of_the_next_lower_one(
    level: int, name: str
) -> None:
    assert level_name(level) == name


def test_only_what_is_important_enough_is_logged(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "log"
    start(log_file=str(path), level=NOTICE)
    log.info("not this")
    log.log(NOTICE, "but this")
    assert path.read_text().endswith(
        "  NOTICE " + path.read_text()[9:36] + "but this\n"
    )
    assert "not this" not in path.read_text()


# -- lines


def test_line_has_level_time_with_microseconds_and_text(file: Path) -> None:
    log.warning("%d jobs are left", 3)
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"
    assert re.fullmatch(f" WARNING {stamp} 3 jobs are left\n", file.read_text())


@pytest.mark.parametrize("microsecond", [0, 1, 999_999])
def test_time_is_as_long_at_a_whole_second(microsecond: int, file: Path) -> None:
    record = logging.makeLogRecord(
        {"msg": "x", "levelno": 30, "created": 1_000_000_000 + microsecond / 1e6}
    )
    log.handle(record)
    assert re.search(rf"\.{microsecond:06} x\n$", file.read_text())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nFATAL b", r"a\nFATAL b"),
        ("a\r\nb", r"a\r\nb"),
        ("\x1b[2J\0\x7f\x9b", r"\x1b[2J\x00\x7f\x9b"),
        ("\u2028\u202e\udcff", r"\u2028\u202e\udcff"),
        ("naïve 日本", "naïve 日本"),
    ],
)
def test_text_of_a_peer_forges_no_line(text: str, shown: str, file: Path) -> None:
    log.error("peer sent %s", text)
    (line,) = file.read_text(encoding="utf-8").split("\n")[:-1]
    assert line.endswith(f" peer sent {shown}")


def test_long_record_is_cut(file: Path) -> None:
    log.error("x" * 2 * MAX_RECORD)
    assert len(file.read_text()) == MAX_RECORD + 1


def test_traceback_is_indented_below_its_line(file: Path) -> None:
    try:
        raise ValueError("a\n   FATAL 2000-01-01 forged")
    except ValueError:
        log.exception("failed")
    first, *others = file.read_text().splitlines()
    assert first.endswith(" failed")
    assert others[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in others)
    assert others[-2:] == ["    ValueError: a", "       FATAL 2000-01-01 forged"]


def test_record_that_cannot_be_formatted_harms_nobody(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log.error("%d", "no number")
    log.error("next")
    assert file.read_text().endswith(" next\n")
    assert capfd.readouterr() == ("", "")


# -- targets


def test_none_logs_nowhere(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    start(log_file="none")
    log.critical("x")
    assert capfd.readouterr() == ("", "")


def test_standard_error_is_written_to(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    start()
    log.critical("x")
    assert capfd.readouterr().err.endswith(" x\n")


def test_file_is_appended_to(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    start(log_file=str(path))
    log.error("new")
    assert path.read_text().startswith("old\n")
    assert path.read_text().endswith(" new\n")


def test_asyncio_logs_here_too(file: Path) -> None:
    logging.getLogger("asyncio").warning("from asyncio")
    logging.getLogger("asyncio").debug("details")
    assert file.read_text().endswith(" from asyncio\n")


def test_closed_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    result = configure(Config(log_file=str(path)))
    result.close()
    result.close()
    assert not log.handlers
    assert not path.read_text()


@pytest.mark.parametrize("name", [".", "absent/log", "log/below"])
def test_file_that_cannot_be_opened_is_one_sentence(
    name: str, tmp_path: Path, file: Path
) -> None:
    path = tmp_path / name
    with pytest.raises(StartupError) as caught:
        configure(Config(log_file=str(path)))
    assert re.fullmatch(
        f"log file '{path}' cannot be opened \\([A-Z][a-z ]+\\): choose another one"
        " with --log-file, or none",
        str(caught.value),
    )


def test_pipe_without_a_reader_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(StartupError, match=r"\(no process reads this pipe\)"):
        configure(Config(log_file=str(path)))


@pytest.mark.parametrize("name", LEVELS)
def test_syslog_gets_the_text_and_a_priority(
    name: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "syslog", lambda *args: told.append(args))
    start(log_file="none", syslog=True, level=logging.DEBUG)
    log.log(LEVELS[name], "a\0b")
    ((priority, text),) = told
    assert text == r"a\x00b"
    assert syslog.LOG_ALERT <= priority <= syslog.LOG_DEBUG


def test_syslog_and_file_get_both(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda priority, text: told.append(text))
    start(log_file=str(tmp_path / "log"), syslog=True)
    log.error("x")
    assert told == ["x"]
    assert (tmp_path / "log").read_text().endswith(" x\n")


# -- rotation


def test_moved_file_is_replaced_on_reopen(tmp_path: Path, start: Start) -> None:
    path, moved = tmp_path / "log", tmp_path / "log.1"
    result = start(log_file=str(path))
    path.rename(moved)
    log.error("before")
    result.reopen()
    log.error("after")
    assert moved.read_text().endswith(" before\n")
    assert path.read_text().endswith(" after\n")
    assert "before" not in path.read_text()


def test_reopen_that_fails_keeps_the_old_file(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    result = start(log_file=str(folder / "log"))
    folder.rename(tmp_path / "elsewhere")
    result.reopen()
    log.error("after")
    first, second = (tmp_path / "elsewhere" / "log").read_text().splitlines()
    assert first.endswith("the old one is kept: No such file or directory")
    assert second.endswith(" after")


def test_reopen_of_standard_error_changes_nothing(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    result = start()
    result.reopen()
    log.error("x")
    assert capfd.readouterr().err.endswith(" x\n")


# -- failures that must not stop the server


def test_full_disk_is_survived(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    start(log_file="/dev/full")
    log.error("x")
    assert capfd.readouterr() == ("", "")


@contextmanager
def standard_error(descriptor: int) -> Iterator[None]:
    """A context in which a descriptor is standard error; it is closed at the end.

    This is not a fixture, since pytest replaces descriptor 2 before each test.
    """
    saved = os.dup(2)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@contextmanager
def standard_error_pipe() -> Iterator[int]:
    """Make standard error a pipe, and return the end to read from."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with standard_error(writer):
        yield reader
    os.close(reader)


def read_all(reader: int) -> str:
    """Return the current content of a pipe."""
    pieces = []
    with suppress(BlockingIOError):
        while piece := os.read(reader, 65536):
            pieces.append(piece)
    return b"".join(pieces).decode()


def test_full_pipe_loses_records_and_tells_how_many(start: Start) -> None:
    with standard_error_pipe() as reader:
        start()
        for _ in range(100):
            log.error("x" * 4000)
        whole = [line for line in read_all(reader).split("\n") if len(line) > 4000]
        log.error("after")
        notice, last = read_all(reader).lstrip("\n").splitlines()
    lost = 100 - len(whole)
    assert notice.endswith(f" {lost} earlier log records could not be written")
    assert last.endswith(" after")


def test_pipe_that_may_not_be_opened_anew_is_not_waited_for_either() -> None:
    # As after a change of user: the pipe belongs to another user.
    code = (
        "import logging, os; from gearman.server.settings.config import Config\n"
        "from gearman.server.watch.logs import configure\n"
        "os.fchmod(2, 0)\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "configure(Config())\n"
        "for _ in range(100): logging.getLogger('gearman.server').error('x' * 4000)\n"
        "print('alive')"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        env=package_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        # Its output ends although nobody has read its errors.
        assert process.stdout.read() == b"alive\n"
        assert process.stderr.read().count(b"\n") > 10


def test_socket_that_nobody_reads_is_not_waited_for(start: Start) -> None:
    here, there = socket.socketpair()
    with here, standard_error(there.detach()):
        start()
        for _ in range(500):
            log.error("x" * 4000)
        assert here.recv(100)


def test_torn_line_is_ended_before_the_next_one(start: Start) -> None:
    with standard_error_pipe() as reader:
        start()
        for _ in range(100):
            log.error("x" * MAX_RECORD)
        assert not read_all(reader).endswith("\n")
        log.error("after")
        assert read_all(reader).startswith("\n")


def test_pipe_without_reader_is_survived(start: Start) -> None:
    reader, writer = os.pipe()
    with standard_error(writer):
        early = start()
        os.close(reader)
        log.error("x")
        early.close()
        start()
        log.error("y")


def test_terminal_that_nobody_reads_is_not_waited_for(start: Start) -> None:
    master, slave = pty.openpty()
    with standard_error(slave):
        start()
        for _ in range(100):
            log.error("x" * 4000)
        assert os.get_blocking(2)
        assert os.read(master, 100)
    os.close(master)


def test_closed_standard_error_is_survived(start: Start) -> None:
    with standard_error(os.open(os.devnull, os.O_WRONLY)):
        os.close(2)
        start()
        log.error("x")
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(2)


def test_interpreter_ends_without_complaint_when_the_log_is_gone() -> None:
    code = (
        "import logging, os; from gearman.server.settings.config import Config\n"
        "from gearman.server.watch.logs import configure\n"
        "log = configure(Config())\n"
        "logging.getLogger('gearman.server').error('x')\n"
        "print('alive')"
    )
    result = subprocess.run(
        ["/bin/sh", "-c", '"$0" -P -c "$1" 2>/dev/full', sys.executable, code],
        env=package_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "alive\n", "")


def test_file_and_syslog_get_objects_of_json_if_that_is_wished(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda priority, text: told.append(text))
    path = tmp_path / "log"
    start(log_file=str(path), syslog=True, log_format="json")
    log.error("%s\nbad", "very", extra={"facts": {"peer": "10.0.0.5"}})
    found = json.loads(path.read_text())
    assert (found["level"], found["text"]) == ("ERROR", "very\nbad")
    assert found["peer"] == "10.0.0.5"
    assert [json.loads(line) for line in told] == [found]


def test_server_logs_connections_jobs_and_complaints_as_json() -> None:
    with ours("--log-format=json", "-v") as server:
        with Peer(server.port) as peer, Peer(server.port) as bad:
            peer.send("CAN_DO", b"f")
            peer.send("SUBMIT_JOB", b"f", b"", b"w")
            (handle,) = peer.expect("JOB_CREATED")
            peer.send("GRAB_JOB")
            peer.expect("JOB_ASSIGN")
            peer.send("WORK_COMPLETE", handle, b"r")
            peer.expect("WORK_COMPLETE")
            bad.send_bytes(b"\0BAD" + bytes(8))
            assert bad.socket.recv(1) == b""
        server.process.terminate()
        server.process.wait(DEADLINE)
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    (job,) = (line for line in lines if line.get("handle") == handle.decode())
    assert (job["event"], job["function"], job["level"]) == ("completed", "f", "INFO")
    (complaint,) = (line for line in lines if line["level"] == "WARNING")
    assert complaint["event"] == "bad-input"
    peers = {line["peer"] for line in lines if line.get("event") == "connected"}
    assert complaint["peer"] in peers
    assert lines[-1]["text"] == "stopped"
