"""The comparison of the asyncio client with the blocking one."""

import pytest

from benchmarks.aio import main, table
from benchmarks.aio_play import WAYS


def test_each_way_runs_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--jobs", "1000"]) == 0
    printed = capsys.readouterr().out
    for way in WAYS:
        assert f"| {way} " in printed


def test_ratios_are_to_the_first_way() -> None:
    rows = table(
        {
            "one": [{"rate": 1000.0, "cpu": 10.0}],
            "two": [{"rate": 2000.0, "cpu": 5.0}, {"rate": 2000.0, "cpu": 5.0}],
        }
    )
    assert "2.00x" in rows.splitlines()[-1]
    assert "0.50x" in rows.splitlines()[-1]
