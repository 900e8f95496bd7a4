"""Waiting until a server can be reached (--wait)."""

import time
from collections.abc import Callable
from typing import Final

from ...errors import ServerUnavailable
from ..program import complain

# Seconds before the second attempt; the pause doubles each time, up to the longest.
_FIRST: Final = 0.5
_LONGEST: Final = 10.0


def until_connected(connect: Callable[[], object]) -> None:
    """Call `connect` repeatedly until it raises no ServerUnavailable.

    The reason is printed at the first failure, and each time that it changes.
    """
    said = ""
    pause = _FIRST
    while True:
        try:
            connect()
        except ServerUnavailable as error:
            if said != (said := str(error)):
                complain("gearman", f"{said}; trying again until it answers")
        else:
            return
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)
