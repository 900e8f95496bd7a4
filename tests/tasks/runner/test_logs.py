"""Lines of the log: whose they are, and of which job."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from gearman.errors import StartupError
from gearman.tasks import App, CurrentJob
from gearman.tasks.current import reset_current, set_current
from gearman.tasks.runner.logs import Lines, LogFile, configure

app = App()
log = logging.getLogger("somewhere")


@app.task
def resize(path: str) -> None: ...


@pytest.fixture
def job() -> Iterator[CurrentJob]:
    """A job that runs."""
    job = CurrentJob(resize, "H:x:1", None, cast(Any, None))
    token = set_current(job)
    yield job
    reset_current(token)


@pytest.fixture
def written() -> Iterator[list[str]]:
    """What is logged, by process 7, as JSON."""
    lines: list[str] = []
    root = logging.getLogger()
    before = root.level
    configure("json", logging.INFO, 7, lines.append)
    yield lines
    (handler,) = (each for each in root.handlers if isinstance(each, Lines))
    root.removeHandler(handler)
    root.setLevel(before)


def test_line_has_the_process(written: list[str]) -> None:
    log.info("hello %s", "you")
    (line,) = map(json.loads, written)
    assert line["text"] == "[7] hello you"
    assert (line["process"], line["pid"]) == (7, os.getpid())
    assert line["logger"] == "somewhere"
    assert "handle" not in line


def test_line_has_the_job_that_runs(written: list[str], job: CurrentJob) -> None:
    log.info("hello")
    (line,) = map(json.loads, written)
    assert line["text"] == "[7] H:x:1 resize: hello"
    assert (line["handle"], line["function"]) == ("H:x:1", "resize")


def test_job_is_not_named_twice(written: list[str], job: CurrentJob) -> None:
    job.log.info("hello")
    (line,) = map(json.loads, written)
    assert line["text"] == "[7] H:x:1 resize: hello"
    assert line["handle"] == "H:x:1"


def test_runner_itself_has_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    handler = Lines("text")
    handler.emit(logging.makeLogRecord({"msg": "100 %", "levelno": logging.INFO}))
    assert capsys.readouterr().err.endswith(" 100 %\n")


def test_log_that_nobody_reads_is_no_problem() -> None:
    def write(text: str) -> None:
        raise BrokenPipeError

    Lines("text", write=write).emit(logging.makeLogRecord({"msg": "x"}))


def test_mistake_in_a_call_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.makeLogRecord({"msg": "%d", "args": ("x",)})
    Lines("text").emit(record)
    assert "TypeError: %d format" in capsys.readouterr().err


def test_second_configuration_replaces_the_first(written: list[str]) -> None:
    others: list[str] = []
    configure("text", logging.INFO, 8, others.append)
    log.info("hello")
    assert written == []
    assert others[0].endswith("[8] hello\n")


# The file.


def test_file_that_was_moved_away_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    file = LogFile(str(path))
    file.write("one\n")
    path.rename(tmp_path / "log.1")
    file.write("two \udcff\n")
    (tmp_path / "other").write_text("other\n")
    (tmp_path / "other").rename(path)
    file.write("three\n")
    assert (tmp_path / "log.1").read_text() == "before\none\n"
    assert path.read_text() == "other\nthree\n"


def test_file_that_cannot_be_opened_again_stays_in_use(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    file = LogFile(str(folder / "log"))
    folder.rename(tmp_path / "moved")
    file.write("one\n")
    file.write("two\n")
    assert (tmp_path / "moved" / "log").read_text() == "one\ntwo\n"


def test_file_that_cannot_be_opened_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be opened: No such file or direct"):
        LogFile(str(tmp_path / "absent" / "log"))


def test_file_stays_in_use_after_a_second_configuration(
    tmp_path: Path, written: list[str]
) -> None:
    configure("text", logging.INFO, file=LogFile(str(tmp_path / "log")))
    configure("text", logging.INFO, 3)
    log.info("hello")
    assert (tmp_path / "log").read_text().endswith("[3] hello\n")
    assert written == []
