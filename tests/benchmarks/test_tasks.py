"""The comparison of systems of tasks, and small loads of this package's."""

import subprocess
import sys

import pytest

from benchmarks import task_play, tasks
from benchmarks.servers import ServerError
from benchmarks.tasks import JOBS, Outcome, Stage, broker, main, table


def test_wrong_system_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--systems", "huey"])
    assert "invalid choice: 'huey'" in capsys.readouterr().err


def test_a_missing_broker_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit):
        main(["--systems", "rq"])
    assert "redis-server is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("durable", [False, True])
def test_all_loads_are_played(
    durable: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--systems", "gearman", "--quick", "--repeat", "1"]
    assert main([*words, *["--durable"][:durable]]) == 0
    printed = capsys.readouterr().out
    assert all(f" {load} " in printed for load in JOBS)


def test_a_table_says_how_much_slower_others_are() -> None:
    fast = dict.fromkeys(JOBS, Outcome(1000.0, 7.0))
    slow = dict.fromkeys(JOBS, Outcome(100.0, 14.0))
    lines = list(table({"gearman": fast, "rq": slow}))
    assert lines[2].count(" 1,000 (1.0x) ") == len(JOBS)
    assert lines[4].count("100 (10.0x)") == len(JOBS)
    assert lines[5].count("14 (2.0x)") == len(JOBS)
    assert "x)" not in "".join(table({"rq": slow}))


def test_a_play_without_an_outcome_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServerError, match="has no outcome"):
        Stage("gearman", sys.executable, 1).play("submit", 1)
    wrong = subprocess.CompletedProcess((), 0, '{"right": false}\n')
    monkeypatch.setattr("subprocess.run", lambda *_, **__: wrong)
    with pytest.raises(ServerError, match="a result is wrong"):
        Stage("gearman", sys.executable, 1).play("submit", 1)


def test_systems_are_those_that_can_be_played() -> None:
    assert set(task_play.SYSTEMS) == set(tasks.SYSTEMS)
    assert set(task_play.LOADS) == set(JOBS)


def test_a_broker_that_does_not_answer_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "_gearmand", lambda *_: [sys.executable, "-c", ""])
    monkeypatch.setattr(tasks, "_PATIENCE_OF_BROKER", 0.1)
    with (
        pytest.raises(ServerError, match="does not answer"),
        broker("gearman", durable=False),
    ):
        pass
