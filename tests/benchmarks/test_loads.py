"""The table of loads."""

import pytest

from benchmarks.loads import Load, Phase, loads
from benchmarks.table import TABLES

ALL = loads(quick=False)


def test_quick_loads_are_the_same_loads() -> None:
    assert [load.name for load in loads(quick=True)] == [load.name for load in ALL]


@pytest.mark.parametrize("load", ALL, ids=lambda load: load.name)
def test_load_is_reported_in_a_table(load: Load) -> None:
    assert load.table in TABLES


@pytest.mark.parametrize("load", ALL, ids=lambda load: load.name)
def test_figures_of_a_load_are_those_of_its_table(load: Load) -> None:
    prefixes = {phase.prefix for phase in load.phases} - {None}
    columns = {column.figure for column in TABLES[load.table]}
    assert all(any(name.startswith(str(p)) for p in prefixes) for name in columns)


def test_phase_becomes_a_command_line() -> None:
    phase = Phase(mode="background", seconds=1.5, jobs=7, clients=2, unique=True)
    words = list(phase.arguments())
    assert words[:6] == [
        "--mode",
        "background",
        "--jobs",
        "7",
        "--milliseconds",
        "1500",
    ]
    assert words[-1] == "--unique"
