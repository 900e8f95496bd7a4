"""Addresses of servers, stopwatches, select."""

import socket
from typing import Any

import pytest

from gearman import util


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("host", ("host", 4730)),
        (b"host", ("host", 4730)),
        ("host:47", ("host", 47)),
        (("host", 47), ("host", 47)),
        (["host", 47], ("host", 47)),
        ("::1", ("::1", 4730)),
        ("fe80::1%eth0", ("fe80::1%eth0", 4730)),
        ("[::1]", ("::1", 4730)),
        ("[::1]:47", ("::1", 47)),
        ("unix:/run/a:b", ("unix:/run/a:b", 4730)),
    ],
)
def test_a_server_can_be_named_in_many_ways(
    given: Any, address: tuple[str, int]
) -> None:
    assert util.disambiguate_server_parameter(given) == address


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("host:", "its port is missing"),
        ("host:x", "'x' is no port"),
        ("", "it needs a host"),
        (("host", 47, "more"), "a server is \\(host, port\\), not 3 items"),
    ],
)
def test_what_names_no_server_is_refused(given: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        util.disambiguate_server_parameter(given)


def test_a_stopwatch_counts_down_to_nothing() -> None:
    left = util.Stopwatch(1000.0).get_time_remaining()
    assert left is not None
    assert 0 < left <= 1000
    over = util.Stopwatch(0)
    assert over.get_time_remaining() == 0.0
    assert not over.has_time_remaining()


def test_a_stopwatch_without_a_time_never_ends() -> None:
    endless = util.Stopwatch(None)
    assert endless.get_time_remaining() is None
    assert endless.has_time_remaining()


def test_select_tells_what_can_be_read_and_written() -> None:
    one, two = socket.socketpair()
    with one, two:
        two.send(b"x")
        assert util.select([one], [one], [one], 5) == ([one], [one], [])
        assert util.select([two], [], [], 0) == ([], [], [])


def test_unlist_takes_the_only_one() -> None:
    assert util.unlist([]) is None
    assert util.unlist([5]) == 5
    with pytest.raises(ValueError, match="2"):
        util.unlist([5, 6])
