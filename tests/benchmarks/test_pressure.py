"""The benchmark of attacks by one client: the command line, and small plays."""

import pytest

from benchmarks import pressure
from benchmarks.pressure import main
from benchmarks.servers import ServerError


def test_unknown_attack_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["teapot"])
    assert "no attack is called teapot" in capsys.readouterr().err


@pytest.mark.parametrize(
    "attack", ["listings", "long-names", "joins", "sleepers", "abilities", "lines"]
)
def test_attack_is_played(
    attack: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its time is not checked, since other tests run at the same time.
    monkeypatch.setattr(pressure, "P50", {"ours-pure": 1e6})
    monkeypatch.setattr(pressure, "SILENCE", 1e6)
    assert main([attack, "--server=ours-pure", "--seconds=1"]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith(f"| {attack} ")
    assert row.count("|") == 6


def test_attack_that_does_more_than_it_may_fails_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure, "SILENCE", 0.0)
    assert main(["lines", "--server=ours-pure", "--seconds=1"]) == 1
    said = capsys.readouterr().out
    assert said.endswith("over the limits: lines (ours-pure)\n")


def test_server_that_ends_fails_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise ServerError("ended")

    monkeypatch.setattr(pressure, "_play", end)
    assert main(["lines", "--server=ours-pure"]) == 1
    assert "| lines            | ended |" in capsys.readouterr().out
