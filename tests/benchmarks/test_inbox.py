"""The measurement of inboxes: its command line, and a small measurement."""

import pytest

from benchmarks import inbox
from benchmarks.inbox import PROGRAMS, delay, idle, main, rate
from benchmarks.servers import Server, find
from gearman.queue import NAMES, load


@pytest.fixture(scope="module")
def server() -> Server:
    return next(found for found in find(None) if found.group == "ours-pure")


def test_every_inbox_is_measured() -> None:
    assert {name for name in NAMES if load(name).has_inbox} == {*PROGRAMS}


def test_unknown_queue_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--queues", "paper"])
    assert "invalid choice: 'paper'" in capsys.readouterr().err


@pytest.mark.parametrize("name", PROGRAMS)
def test_inbox_is_measured(
    name: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "IDLE", 0.1)
    monkeypatch.setattr(inbox, "SINGLE", 1)
    # All may be jobs before the first look.
    assert rate(name, server, 500) >= 0
    assert delay(name, server) > 0
    assert idle(name, server, "--queue-inbox") >= 0
