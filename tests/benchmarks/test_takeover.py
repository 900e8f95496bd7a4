"""The measurement of take-overs: its command line, and a small one."""

import pytest

from benchmarks import programs
from benchmarks.backends import new_store
from benchmarks.servers import find
from benchmarks.takeover import main, take_over

# Seconds for which a busy machine may stand still.
LEASE = 3


def test_unknown_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--jobs", "none"])
    assert "a whole number from 1" in capsys.readouterr().err


def test_take_over_is_measured() -> None:
    server = next(found for found in find(None) if found.group == "ours-pure")
    with new_store("postgres") as store:
        figures = take_over(programs.build("load"), server, store, 300, LEASE)
    assert figures.first > 0
    assert figures.all > 0
    assert figures.cpu >= 0
