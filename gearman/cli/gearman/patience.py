"""Waiting for a server that is not there yet."""

import time
from collections.abc import Callable
from typing import Final

from ...errors import ServerUnavailable
from ..program import complain

# Seconds before the second attempt; they double with each, up to the maximum.
_FIRST: Final = 0.5
_LONGEST: Final = 10.0


def until_connected(connect: Callable[[], object]) -> None:
    """Call `connect` again and again until it raises no ServerUnavailable.

    Why that takes time is said when it begins, and when the reason is another one.
    """
    said = ""
    pause = _FIRST
    while True:
        try:
            connect()
        except ServerUnavailable as error:
            if said != (said := str(error)):
                complain("gearman", f"{said}; trying again until it is there")
        else:
            return
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)
