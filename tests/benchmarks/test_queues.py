"""The comparison of persistent queues: its command line, and a small play."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import queues
from benchmarks.backends import BACKENDS, new_store
from benchmarks.loads import Load, Phase
from benchmarks.programs import build
from benchmarks.queues import (
    commit_time,
    durable,
    main,
    plays,
    replay_time,
    slower_disk,
)
from benchmarks.servers import Server, find
from benchmarks.table import rows, table
from gearman.queue import NAMES
from tests.servers import missing

SLOW_DISK = str(Path(__file__).resolve().parents[1] / "slow_disk")


@pytest.fixture(scope="module")
def server() -> Server:
    return next(found for found in find(None) if found.group == "ours-pure")


def test_every_queue_is_compared() -> None:
    assert set(NAMES) <= set(BACKENDS)


def test_unknown_queue_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--queues", "paper"])
    assert "invalid choice: 'paper'" in capsys.readouterr().err


def test_queue_is_filled_and_drained(tmp_path: Path, server: Server) -> None:
    if not shutil.which("cc"):
        missing("gcc")
    program = build("load", tmp_path)
    submit, drain, single = durable("sqlite", quick=True).phases
    jobs = {"jobs": 100, "clients": 2, "in_flight": 10}
    load = Load(
        *("sqlite", "", "durable"),
        (small(submit, **jobs), small(drain, jobs=100), small(single, jobs=10)),
    )
    (outcome,) = plays(program, load, [server], 1)
    assert outcome.failure == ""
    assert outcome.figures["submit_done"] == outcome.figures["drain_done"] == 100
    assert outcome.figures["commit"] > 0
    assert "sqlite" in table("durable", [rows(load, [server], [outcome])])


def small(phase: Phase, **fields) -> Phase:
    return replace(phase, seconds=20, **fields)


def test_stored_jobs_are_taken_up(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "FILL", 10)
    assert replay_time("sqlite", server, 30) > 0


@pytest.mark.parametrize("name", BACKENDS)
def test_one_commit_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "memcached" and not shutil.which("memcached"):
        missing("memcached")
    monkeypatch.setattr(queues, "COMMITS", 3)
    with new_store(name) as store:
        assert commit_time(name, store) > 0


def timed_sync(sync: str) -> list[str]:
    """Return a command that prints how many seconds a sync takes."""
    script = (
        "import os, tempfile, time\n"
        "with tempfile.TemporaryFile() as file:\n"
        "    start = time.monotonic()\n"
        f"    os.{sync}(file.fileno())\n"
        "    print(time.monotonic() - start)\n"
    )
    return [sys.executable, "-c", script]


@pytest.mark.parametrize("sync", ["fsync", "fdatasync"])
def test_slower_disk_takes_its_time(sync: str, tmp_path: Path) -> None:
    if not shutil.which("cc"):
        missing("gcc")
    environment = slower_disk(tmp_path, 50_000)
    said = subprocess.check_output(timed_sync(sync), env=environment)
    assert float(said) >= 0.05


def test_tests_can_be_run_on_a_slower_disk() -> None:
    if not shutil.which("cc"):
        missing("gcc")
    environment = os.environ | {"SYNC_MICROSECONDS": "50000"}
    command = [SLOW_DISK, *timed_sync("fsync")]
    assert float(subprocess.check_output(command, env=environment)) >= 0.05


def test_slower_disk_is_asked_for_in_microseconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--sync", "1ms"])
    assert "a whole number from 1, not '1ms'" in capsys.readouterr().err
