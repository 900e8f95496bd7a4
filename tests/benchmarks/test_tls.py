"""The comparison of plain TCP with TLS: each load once, small."""

import pytest

from benchmarks import tls
from benchmarks.servers import Server, find


@pytest.fixture(scope="module")
def server() -> Server:
    return next(found for found in find(None) if found.group == "ours-pure")


@pytest.mark.parametrize("load", tls.LOADS)
def test_load_is_played_both_ways(
    load: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tls.LOADS, load, (tls.LOADS[load][0], 3))
    with tls.ways() as both:
        assert [tls.play(server, way, load)["rate"] > 0 for way in both] == [True] * 2


def test_memory_of_connections_is_measured(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "CONNECTIONS", 20)
    with tls.ways() as (_, way):
        assert tls.connect(server, way)["memory"] > 0


def test_repeat_must_be_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tls.main(["--repeat", "0"])
    assert "a whole number from 1, not '0'" in capsys.readouterr().err
