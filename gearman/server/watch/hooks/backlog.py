"""The events that wait for a hook."""

from collections import deque
from threading import Condition
from typing import Final

# So many events wait for a hook, or so many bytes of them; further ones are dropped.
MOST_EVENTS: Final = 10_000
MOST_BYTES: Final = 8 * 1024 * 1024

# So many go out together.
BATCH: Final = 100


class Backlog:
    """Passes lines from the server's thread to that of a hook; both ends may close it.

    `dropped` counts the lines that found no room, `waiting` those that wait.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._closed = False
        self._changed = Condition()

    @property
    def waiting(self) -> int:
        return len(self._lines)

    def has_room(self) -> bool:
        """Whether a line can be put; otherwise it counts as dropped."""
        full = len(self._lines) >= MOST_EVENTS or self._size >= MOST_BYTES
        if full or self._closed:
            self.dropped += 1
        return not (full or self._closed)

    def put(self, line: bytes) -> None:
        """Add a line; see `has_room`. Never waits for longer than a moment."""
        with self._changed:
            self._lines.append(line)
            self._size += len(line)
            if len(self._lines) == 1:
                self._changed.notify()

    def batch(self) -> list[bytes]:
        """Wait for lines, and return the first ones; [] if there will be none.

        They stay in the backlog until `remove` is called.
        """
        with self._changed:
            while not self._lines and not self._closed:
                self._changed.wait()
            return [self._lines[n] for n in range(min(BATCH, len(self._lines)))]

    def remove(self, count: int) -> None:
        """Remove the first lines, since they were delivered."""
        with self._changed:
            for _ in range(count):
                self._size -= len(self._lines.popleft())

    def close(self) -> None:
        """Take no more lines. Those that are there can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify()
