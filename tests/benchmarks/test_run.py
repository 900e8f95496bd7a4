"""The command line, and one small load on a real server."""

import shutil
from pathlib import Path

import pytest

from benchmarks.loads import Load, Phase
from benchmarks.play import play
from benchmarks.programs import build
from benchmarks.run import main
from benchmarks.servers import Server, find
from gearman import GearmanAdminClient
from tests.servers import missing


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The load generator."""
    if not shutil.which("cc"):
        missing("gcc")
    return build("load", tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def server() -> Server:
    """This project's server."""
    return next(found for found in find(None) if found.group == "ours-pure")


def small(*phases: Phase) -> Load:
    return Load("small", "", "speed", phases)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--loads", "eco"], "invalid choice: 'eco'"),
        (["--servers", "java"], "invalid choice: 'java'"),
        (["--repeat", "0"], "a whole number from 1, not '0'"),
        (["--json", "/nowhere/file"], "'/nowhere/file' cannot be written"),
    ],
)
def test_wrong_option_is_named(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_foreground_jobs_are_played(program: Path, server: Server) -> None:
    phase = Phase(mode="foreground", seconds=20, jobs=100, clients=2, workers=2)
    outcome = play(program, small(phase), server)
    assert outcome.failure == ""
    assert outcome.figures["done"] == 100
    assert outcome.figures["cpu"] > 0


def test_steered_server_has_policies() -> None:
    (server,) = (found for found in find(None) if found.group == "ours-steered")
    with server.running() as (_, port):
        client = GearmanAdminClient([f"127.0.0.1:{port}"])
        client.set_function("f", weight=2)
        (row,) = client.get_policies()
        client.shutdown()
        assert row["policy"].keys() == {"retries", "timeout", "ttl", "keep", "weight"}


def test_backlog_is_drained_as_far_as_it_was_filled(
    program: Path, server: Server
) -> None:
    fill = Phase(mode="background", seconds=20, jobs=50, prefix=None, clients=1)
    drain = Phase(mode="drain", seconds=20, jobs=100, workers=2)
    outcome = play(program, small(fill, drain), server)
    assert (outcome.failure, outcome.figures["done"]) == ("", 50)


def test_phase_that_is_cut_short_is_remarked(program: Path, server: Server) -> None:
    phase = Phase(mode="echo", seconds=0.001, jobs=10**6, clients=1, whole=True)
    (remark,) = play(program, small(phase), server).remarks
    assert remark.startswith("echo stopped after 0.001 s and ")


def test_server_that_does_not_start_fails_the_load(program: Path) -> None:
    broken = Server("perl", "perl", "", ("sh", "-c", "echo no such module >&2; exit 1"))
    phase = Phase(mode="echo", seconds=1, clients=1)
    outcome = play(program, small(phase), broken)
    assert outcome.failure == "ended immediately: no such module"


def test_too_few_descriptors_are_said(program: Path, server: Server) -> None:
    phase = Phase(mode="idle", seconds=1, workers=10**8)
    outcome = play(program, small(phase), server)
    assert outcome.failure.startswith("needs 100000100 open files")
