"""Which of the lines about bad peers are logged: a few of each kind.

A flood of bad peers must not become one of the log, nor fill a disk.
"""

from math import inf
from typing import Final

# Of each kind so many lines are logged in so many seconds.
BURST: Final = 10
INTERVAL: Final = 60.0


class _Kind:
    __slots__ = ("dropped", "left", "until")

    def __init__(self) -> None:
        self.dropped = self.left = 0
        self.until = -inf


class LimitedLog:
    """Drops lines that come too often, and says how many those were."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def line(self, kind: str, text: object, now: float) -> str:
        """Return what to log of a line: all, or nothing.

        There must be few kinds. `now` is in seconds. What is to be logged is made a
        string for it.
        """
        row = self._kinds.setdefault(kind, _Kind())
        if now >= row.until:
            row.left, row.until = BURST, now + INTERVAL
        if not row.left:
            row.dropped += 1
            return ""
        row.left -= 1
        dropped, row.dropped = row.dropped, 0
        more = f" ({dropped} lines like this one were left out before)"
        return f"{text}{more}" if dropped else str(text)
