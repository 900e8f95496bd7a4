"""Hostile connections beside a good client: the command line, and a small play."""

import shutil

import pytest

from benchmarks.hostile import BOUND, main, parse, report
from tests.servers import missing


def test_unknown_server_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--server", "teapot"])
    assert "invalid choice: 'teapot'" in capsys.readouterr().err


def test_crowd_is_played_and_closed(capsys: pytest.CaptureFixture[str]) -> None:
    if not shutil.which("cc"):
        missing("gcc")
    sizes = ["--connections=30", "--rate=50", "--seconds=1", "--repeat=1"]
    assert main(["--server=ours-pure", *sizes]) in (0, 1)
    said = capsys.readouterr().out
    assert "30 hostile connections, " in said
    assert "hostile connections, 0 of them closed" not in said


def test_least_disturbed_plays_count(capsys: pytest.CaptureFixture[str]) -> None:
    def play(p99: float) -> dict[str, float]:
        return {"rate": 1000.0, "cpu": 10.0, "p50": 20.0, "p99": p99, "closed": 5.0}

    plays = [(play(50), play(500)), (play(900), play(75))]
    assert report(parse([]), plays) == 1.5 < BOUND
    assert "| there    |  1,000 |     20 |     75 |        1 % |" in (
        capsys.readouterr().out
    )
