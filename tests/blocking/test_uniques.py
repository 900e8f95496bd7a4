"""Random uniques are used once, in all threads and processes."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from gearman.blocking.uniques import random_unique


@pytest.mark.parametrize("size", [0, 1, 16, 33])
def test_it_has_the_size_that_was_asked_for(size: int) -> None:
    assert all(len(bytes.fromhex(random_unique(size))) == size for _ in range(200))


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        random_unique(-1)


def test_threads_get_none_twice() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(random_unique, [16] * 5000)]
    assert len({*found}) == 5000


def test_child_process_gets_none_of_its_parent() -> None:
    random_unique(16)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, "".join(random_unique(16) for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with open(reading) as pipe:
        text = pipe.read()
    theirs = {text[start : start + 32] for start in range(0, len(text), 32)}
    assert len(theirs) == 100
    assert theirs.isdisjoint(random_unique(16) for _ in range(100))
