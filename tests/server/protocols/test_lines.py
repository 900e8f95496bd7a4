"""Lists in pieces."""

import tracemalloc
from collections import deque

from gearman.server.protocols.lines import PIECE_LINES, counted, pieces


def test_search_that_finds_nothing_keeps_nothing_of_what_it_has_seen() -> None:
    tracemalloc.start()
    try:
        (last,) = deque(pieces(b"" for _ in range(100_000)), maxlen=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last == b".\n"
    assert peak < 50_000


def test_step_of_heavy_lines_has_fewer_of_them() -> None:
    lines = [b"x\n"] * (2 * PIECE_LINES)
    assert len([*pieces(lines)]) == 3
    assert len([*pieces(lines, 5)]) == 11


def test_omitted_lines_are_not_heavy() -> None:
    assert len([*pieces([b""] * PIECE_LINES, 5)]) == 2


def test_what_a_command_did_is_heavier_than_what_it_has_seen() -> None:
    seen = [*counted([False] * PIECE_LINES)]
    done = [*counted([True] * PIECE_LINES)]
    assert (seen[-1], done[-1]) == (b"OK 0\r\n", b"OK %d\r\n" % PIECE_LINES)
    assert len(done) > len(seen)
