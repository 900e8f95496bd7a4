"""The page of `--watch` on a terminal."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests import servers
from tests.tasks.runner.stage import PROGRAM, Stage

REPORT = """
@app.task(timeout=1000)
def report(name: str) -> None:
    print("printed by the job")
    app.current.progress(3, 10)
    wait.function(name)
"""


class Watched:
    """A runner on a terminal; `text` is all that it has written there."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self._terminal = terminal
        self.text = ""

    def until_written(self, pattern: str) -> None:
        def written() -> bool:
            with suppress(BlockingIOError, OSError):
                self.text += os.read(self._terminal, 1 << 16).decode()
            return re.search(pattern, self.text) is not None

        servers.until(written)


@pytest.fixture
def watched(stage: Stage) -> Iterator[Watched]:
    stage.write(PROGRAM + REPORT)
    terminal, other = pty.openpty()
    os.set_blocking(terminal, False)
    words = ["program:app", "-c", "2", "--watch", "--servers", stage.address]
    process = subprocess.Popen(
        [sys.executable, "-m", "gearman.tasks", *words],
        cwd=stage.folder,
        env={**servers.package_environment(), "COLUMNS": "160", "LINES": "40"},
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
    )
    os.close(other)
    watched = Watched(process, terminal)
    try:
        yield watched
    finally:
        process.terminate()
        process.wait(servers.DEADLINE)
        print(watched.text)
        os.close(terminal)


def test_page_has_a_line_for_each_process(stage: Stage, watched: Watched) -> None:
    watched.until_written("gearman-worker program:app  2 processes, 0 jobs, 0 failed")
    stage.submit("fail")
    watched.until_written("2 processes, 1 jobs, 1 failed")
    job = stage.submit("report", "file")
    stage.until_started("file")
    watched.until_written(
        r"\[\d\] +\d+ serving +0:\d\d +\d+ MiB \d jobs.* \[###-------\] report"
        rf" {job.handle} \d+\.\d s of 1000 s"
    )
    watched.until_written("printed by the job\r\n")
    watched.until_written("ValueError: it is broken")
    stage.file("file").touch()
    watched.until_written("2 processes, 2 jobs, 1 failed")
    watched.process.send_signal(signal.SIGTERM)
    watched.until_written("stopping: no more jobs are taken")
