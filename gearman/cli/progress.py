"""A progress line on the terminal."""

import sys
import time
from shutil import get_terminal_size
from typing import Final

_ERASE: Final = "\r\x1b[K"
# The least number of seconds between two drawings.
_INTERVAL: Final = 0.1
# Seconds after which it should be drawn again even if nothing has changed.
_REDRAW: Final = 0.5


class Progress:
    """Draws the line on standard error, below all other output.

    `total` is the amount of work, in any unit. If it is None or 0, or if there is no
    terminal, nothing is drawn. Call `hide` before other output to the terminal.
    """

    def __init__(self, total: int | None) -> None:
        self._total = total if sys.stderr.isatty() else None
        self._start = time.monotonic()
        self._drawn_at = 0.0
        self._shown = False

    @property
    def redraw(self) -> float | None:
        """Seconds after which to call `draw` again; None: never."""
        return _REDRAW if self._total else None

    def draw(self, done: int, jobs: int, failed: int) -> None:
        """Show that `done` of the total is done, unless it was drawn a moment ago.

        `jobs` and `failed` are the numbers of jobs that ended, and that failed.
        """
        now = time.monotonic()
        if not self._total or (self._shown and now - self._drawn_at < _INTERVAL):
            return
        self._drawn_at = now
        self._shown = True
        line = bar(
            min(1.0, done / self._total),
            jobs,
            failed,
            now - self._start,
            get_terminal_size().columns,
        )
        sys.stderr.write(_ERASE + line)
        sys.stderr.flush()

    def hide(self) -> None:
        """Erase the line."""
        if self._shown:
            self._shown = False
            sys.stderr.write(_ERASE)
            sys.stderr.flush()


def bar(part: float, jobs: int, failed: int, seconds: float, columns: int) -> str:
    """Return the line, shorter than `columns`; `part` is from 0 to 1."""
    text = f" {part:4.0%}  {jobs} jobs"
    if failed:
        text += f", {failed} failed"
    if seconds > 0:
        text += f", {jobs / seconds:.0f}/s"
    if part > 0:
        text += f", {_duration(seconds / part - seconds)} left"
    width = max(0, min(40, columns - len(text) - 3))
    filled = int(width * part)
    return f"[{'#' * filled}{'-' * (width - filled)}]{text}"[: columns - 1]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"
