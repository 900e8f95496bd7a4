"""The comparison of client libraries, and one small load of each kind."""

import sys

import pytest

from benchmarks.client_play import LOADS
from benchmarks.clients import (
    JOBS,
    Client,
    bare,
    main,
    other,
    ours,
    served,
    table,
)
from benchmarks.play import Outcome
from benchmarks.servers import Server, ServerError, find


@pytest.fixture(scope="module")
def server() -> Server:
    """This project's server."""
    return next(found for found in find(None) if found.group == "ours-pure")


def client(label: str) -> Client:
    return Client(label, "1.0", sys.executable, "gearman", {})


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--loads", "echo"], "invalid choice: 'echo'"),
        (["--repeat", "0"], "a whole number from 1, not '0'"),
    ],
)
def test_wrong_option_is_named(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_python_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--other", "/nowhere/python"]) == 2
    assert "/nowhere/python cannot be run" in capsys.readouterr().err


def test_module_that_is_missing_is_named() -> None:
    with pytest.raises(ServerError, match="No module named 'nothing'"):
        other(f"{sys.executable}:nothing")


def test_each_load_has_a_number_of_jobs() -> None:
    assert JOBS.keys() == LOADS.keys()


@pytest.mark.parametrize("load", LOADS)
def test_load_is_played(load: str, server: Server) -> None:
    with served(server) as (_, port):
        outcome = ours(server)[0].play(load, port, 2)
    assert outcome.failure == ""
    assert outcome.figures["rate"] > 0
    assert outcome.figures["cpu"] > 0


@pytest.mark.parametrize("load", sorted(bare().loads))
def test_bare_socket_plays_a_load(load: str, server: Server) -> None:
    with served(server) as (_, port):
        outcome = bare().play(load, port, 2)
    assert outcome.failure == ""
    assert outcome.figures["rate"] > 0


def test_client_is_left_out_of_loads_that_it_does_not_play() -> None:
    outcome = Outcome("large-result", "two", {"rate": 25.0, "cpu": 2.0})
    lines = table([bare(), client("two")], [outcome]).splitlines()[2:]
    assert [cells(line)[:4] for line in lines] == [
        ["large-result", "two", "25", "1.00x"]
    ]


def test_client_that_fails_says_why(server: Server) -> None:
    with served(server) as (_, port):
        outcome = ours(server)[0].play("nothing", port, 1)
    assert outcome.failure == "KeyError: 'nothing'"


def test_ratios_are_to_the_first_client() -> None:
    outcomes = [
        Outcome("submit", "one", {"rate": 10.0, "cpu": 8.0}),
        Outcome("submit", "two", {"rate": 25.0, "cpu": 2.0}),
    ]
    lines = table([client("one"), client("two")], outcomes).splitlines()[2:]
    assert [cells(line) for line in lines] == [
        ["submit", "one", "10", "1.00x", "8.0", "1.00x"],
        ["submit", "two", "25", "2.50x", "2.0", "0.25x"],
    ]


def test_client_that_failed_has_no_figures() -> None:
    outcomes = [
        Outcome("submit", "one", {"rate": 10.0, "cpu": 8.0}),
        Outcome("submit", "two", failure="crashed"),
    ]
    lines = table([client("one"), client("two")], outcomes).splitlines()[2:]
    assert cells(lines[1]) == ["submit", "two", "-", "-", "-", "-"]
