"""Lists in pieces."""

import tracemalloc
from collections import deque

from gearman.server.protocols.lines import pieces


def test_search_that_finds_nothing_keeps_nothing_of_what_it_has_seen() -> None:
    tracemalloc.start()
    try:
        (last,) = deque(pieces(b"" for _ in range(100_000)), maxlen=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last == b".\n"
    assert peak < 50_000
