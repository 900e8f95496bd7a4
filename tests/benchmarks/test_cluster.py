"""The measurement of what a cluster costs: its command line, and a small one."""

import pytest

from benchmarks import cluster, programs
from benchmarks.cluster import CONTENDERS, main, play
from benchmarks.servers import find


def test_unknown_server_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--servers", "paper"])
    assert "invalid choice: 'paper'" in capsys.readouterr().err


@pytest.mark.parametrize("name", CONTENDERS)
def test_submits_and_drains_are_measured(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few jobs are submitted in a moment, in a part of which none may be done.
    monkeypatch.setattr(cluster, "DRAINED", 4.0)
    server = next(found for found in find(None) if found.group == "ours-pure")
    run = CONTENDERS[name]
    for figures in play(programs.build("load"), run, server, 6_000):
        assert figures.rate > 0
        assert figures.cpu > 0
        assert figures.postgres >= 0
