"""Random uniques, for jobs that programs give none."""

import os
from collections import defaultdict

# So many are made at once: each call of the system takes as long as half of the rest.
_AT_ONCE = 256

# By their size in bytes. Threads share them: an item is taken in one step.
_ready: defaultdict[int, list[str]] = defaultdict(list)

# A child process must not use what its parent will use as well.
os.register_at_fork(after_in_child=_ready.clear)


def random_unique(size: int) -> str:
    """Return `size` random bytes, written in hexadecimal; they are used only once."""
    if size < 1:
        return os.urandom(size).hex()
    ready = _ready[size]
    try:
        return ready.pop()
    except IndexError:
        made = random_uniques(size, _AT_ONCE)
        unique = made.pop()
        ready += made
        return unique


def random_uniques(size: int, count: int) -> list[str]:
    """Return as many of them; raises ValueError if `size` is less than 1."""
    text = os.urandom(size * count).hex(" ", size)
    return text.split(" ")
