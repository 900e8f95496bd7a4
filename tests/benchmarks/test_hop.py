"""The measurement of a job's way over a link: a small one."""

from pathlib import Path

import pytest

from benchmarks.hop import HOP, LOCAL, main, measure
from tests.cluster.anywhere import site
from tests.queues.backend_postgres import cluster


def test_unknown_option_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--jobs", "none"])
    assert "a whole number from 1" in capsys.readouterr().err


@pytest.mark.interop
def test_both_ways_are_measured(tmp_path: Path) -> None:
    with cluster() as postgres, site(postgres, tmp_path, "hop", 2, near=True) as found:
        figures = measure(found.servers, 2, 4, 40, 1)
    for name in (LOCAL, HOP):
        ((cpu, time),) = figures[name]
        assert cpu >= 0
        assert time > 0
