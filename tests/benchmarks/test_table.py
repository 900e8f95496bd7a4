"""Tables: medians, the best of a group, ratios to gearmand."""

from benchmarks.loads import Load
from benchmarks.play import Outcome
from benchmarks.servers import Server
from benchmarks.table import Row, baseline_of, medians, ratio, rows, table

LOAD = Load("echo", "", "speed", ())
IDLE = Load("idle", "", "memory", ())
OURS = Server("ours-pure", "ours-pure", "", ())
ONE = Server("gearmand", "gearmand -t 1", "", ())
FOUR = Server("gearmand", "gearmand -t 4", "", ())


def outcome(server: Server, load: Load = LOAD, **figures: float) -> Outcome:
    return Outcome(load.name, server.label, figures)


def failed(server: Server, reason: str) -> Outcome:
    return Outcome(LOAD.name, server.label, failure=reason)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_median_of_each_figure_is_taken() -> None:
    plays = [
        {"rate": 1.0, "cpu": 9.0},
        {"rate": 50.0, "cpu": 7.0},
        {"rate": 2.0, "cpu": 8.0},
    ]
    assert medians(plays) == {"rate": 2.0, "cpu": 8.0}


def test_group_is_represented_by_its_server_of_the_highest_rate() -> None:
    outcomes = [
        outcome(ONE, rate=5.0),
        outcome(OURS, rate=9.0),
        outcome(FOUR, rate=7.0),
    ]
    found = rows(LOAD, [OURS, ONE, FOUR], outcomes)
    assert [row.server for row in found] == ["ours-pure", "gearmand -t 4"]


def test_group_is_represented_by_its_server_of_the_least_memory() -> None:
    outcomes = [outcome(ONE, IDLE, each=5.0), outcome(FOUR, IDLE, each=7.0)]
    assert [row.server for row in rows(IDLE, [ONE, FOUR], outcomes)] == [ONE.label]


def test_server_that_failed_does_not_represent_its_group() -> None:
    outcomes = [failed(ONE, "crashed"), outcome(FOUR, rate=1.0)]
    assert [row.server for row in rows(LOAD, [ONE, FOUR], outcomes)] == [FOUR.label]


def test_outcomes_of_other_loads_are_left_out() -> None:
    assert rows(LOAD, [OURS], [outcome(OURS, IDLE, rate=1.0)]) == []


def test_one_failure_spoils_the_figures_of_a_load() -> None:
    (row,) = rows(LOAD, [OURS], [outcome(OURS, rate=1.0), failed(OURS, "crashed")])
    assert (row.figures, row.remarks) == ({}, ("crashed",))


def test_ratio_is_a_multiple_of_gearmands_figure() -> None:
    ours = Row("echo", "ours-pure", "ours-pure", {"rate": 3.0})
    theirs = Row("echo", "gearmand", "gearmand -t 1", {"rate": 2.0})
    assert ratio(ours, baseline_of([ours, theirs]), "rate") == 1.5


def test_there_is_no_ratio_without_gearmand() -> None:
    ours = Row("echo", "ours-pure", "ours-pure", {"rate": 3.0})
    assert ratio(ours, baseline_of([ours]), "rate") is None


def test_there_is_no_ratio_to_a_gearmand_that_failed() -> None:
    ours = Row("echo", "ours-pure", "ours-pure", {"rate": 3.0})
    theirs = Row("echo", "gearmand", "gearmand -t 1", {}, ("crashed",))
    assert ratio(ours, baseline_of([ours, theirs]), "rate") is None


def test_table_shows_figures_and_ratios() -> None:
    figures = {"rate": 150_000.0, "cpu": 2.0, "p50": 70.4, "p99": 90.0, "memory": 2**21}
    ours = Row("echo", "ours-pure", "ours-pure", figures)
    theirs = Row("echo", "gearmand", "gearmand -t 1", {"rate": 100_000.0, "cpu": 1.0})
    line = table("speed", [[ours, theirs]]).splitlines()[2]
    expected = ["150,000", "1.50x", "2.00", "2.00x", "70", "90", "2.0"]
    assert cells(line) == ["echo", "ours-pure", *expected]


def test_failure_is_shown_as_dashes_and_a_remark() -> None:
    row = Row("echo", "perl", "perl", {}, ("the server closed a connection",))
    lines = table("speed", [[row]]).splitlines()
    assert set(cells(lines[2])[2:]) == {"-"}
    assert lines[-1] == "- echo, perl: the server closed a connection"


def test_rate_of_a_window_that_was_not_reached_is_a_dash() -> None:
    row = Row("unique-million", "perl", "perl", {"drain_last_rate": 0.0})
    assert set(cells(table("growth", [[row]]).splitlines()[2])[2:]) == {"-"}


def test_lines_of_a_table_are_equally_long() -> None:
    some = [
        Row("echo", name, name, {"rate": rate})
        for name, rate in (("a", 1.0), ("bc", 1e9))
    ]
    assert len({len(line) for line in table("speed", [some]).splitlines()}) == 1
