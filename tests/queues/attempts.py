"""Calls of a store that fails for a while."""

import time
from collections.abc import Callable
from typing import TypeVar

from gearman.errors import Fenced, QueueError
from tests.servers import DEADLINE

T = TypeVar("T")


def tried(call: Callable[[], T]) -> T:
    """Call a function until it does not fail, or is fenced."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return call()
        except Fenced:
            raise
        except QueueError:
            assert time.monotonic() < deadline
            # The processor may be needed by what this waits for.
            time.sleep(0.001)
