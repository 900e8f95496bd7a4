"""The benchmark of scrapes: the command line, and a small play."""

import pytest

from benchmarks import metrics
from benchmarks.metrics import main

SMALL = ["--server=ours-pure", "--functions=20", "--scrapes=2", "--seconds=1"]


def test_other_servers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--server=gearmand"])
    assert "invalid choice: 'gearmand'" in capsys.readouterr().err


def test_scrapes_are_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its time is not checked, since other tests run at the same time.
    monkeypatch.setattr(metrics, "BOUND", 1e6)
    assert main(SMALL) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert row.startswith("| ours-pure ")
    assert row.count("|") == head.count("|")


def test_scrape_that_costs_too_much_fails_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "BOUND", -1.0)
    assert main(SMALL) == 1
    assert "over -1 ms: ours-pure\n" in capsys.readouterr().out
