"""A limit to the log lines about bad peers: only a few of each kind are logged.

A flood of bad peers must not flood the log, nor fill the disk.
"""

from math import inf
from typing import Final

# In each interval (seconds), so many lines of each kind are logged.
BURST: Final = 10
INTERVAL: Final = 60.0


class _Kind:
    __slots__ = ("dropped", "left", "until")

    def __init__(self) -> None:
        self.dropped = self.left = 0
        self.until = -inf


class LimitedLog:
    """Drops lines that are too frequent, and tells how many were dropped."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def line(self, kind: str, text: object, now: float) -> str:
        """Return the text to log, or "" if the line is dropped.

        `text` is converted to a string only if it is logged. `now` is in seconds, of
        any clock. There must be few kinds, since each takes memory.
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
