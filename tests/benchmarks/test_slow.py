"""Latency with a slow queue: a small play, without and with submitters."""

import shutil
from pathlib import Path

import pytest

from benchmarks.programs import build
from benchmarks.servers import find
from benchmarks.slow import main, play
from tests.servers import missing


@pytest.mark.parametrize("clients", [0, 2])
def test_round_trips_are_measured(clients: int, tmp_path: Path) -> None:
    if not shutil.which("cc"):
        missing("gcc")
    server = next(found for found in find(None) if found.group == "ours-pure")
    figures = play(build("load", tmp_path), server, clients, 20)
    assert 0 < figures["p50"] <= figures["p99"]


def test_number_of_plays_must_be_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--repeat", "x"])
    assert "a whole number from 1, not 'x'" in capsys.readouterr().err
