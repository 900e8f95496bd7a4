"""The benchmark of hostile connections: the command line, and a small play."""

import shutil

import pytest

from benchmarks.hostile import BOUND, main, parse, report
from benchmarks.servers import ServerError
from tests.servers import missing


def test_unknown_server_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--server", "teapot"])
    assert "invalid choice: 'teapot'" in capsys.readouterr().err


def test_crowd_is_played_and_closed(capsys: pytest.CaptureFixture[str]) -> None:
    if not shutil.which("cc"):
        missing("gcc")
    sizes = ["--connections=30", "--rate=50", "--seconds=1", "--repeat=1"]
    status = main(["--server=ours-pure", *sizes])
    said = capsys.readouterr()
    if status == 2:
        assert "the crowd did not reach its rate" in said.err
    else:
        assert "30 hostile connections, " in said.out


def play(p99: float, closed: float = 200) -> dict[str, float]:
    return {"rate": 1000.0, "cpu": 10.0, "p50": 20.0, "p99": p99, "closed": closed}


def test_crowd_that_was_held_up_does_not_count() -> None:
    with pytest.raises(ServerError, match="the crowd did not reach its rate"):
        report(parse([]), [(play(50), play(51, 100))])


def test_least_disturbed_plays_count(capsys: pytest.CaptureFixture[str]) -> None:
    plays = [(play(50), play(500)), (play(900), play(75)), (play(60), play(51, 100))]
    assert report(parse([]), plays) == 1.5 < BOUND
    assert "| present             |  1,000 |     20 |     75 |        1 % |" in (
        capsys.readouterr().out
    )
