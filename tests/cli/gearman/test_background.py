"""The file with the process id; `-d` is tested with the whole tool."""

import os
from pathlib import Path

import pytest

from gearman.cli.gearman.background import pid_file
from gearman.errors import StartupError


def test_the_id_is_there_while_it_lasts(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("12345\nstale")
    with pid_file(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_the_file_of_another_process_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with pid_file(str(path)):
        path.write_text("1\n")
    assert path.read_text() == "1\n"


def test_it_is_removed_from_wherever_the_process_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pid_file("pid"):
        os.chdir("/")
    assert not (tmp_path / "pid").exists()


def test_a_file_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "pid"
    with pytest.raises(StartupError, match="cannot be written: No such file"):
        pid_file(str(path)).__enter__()
