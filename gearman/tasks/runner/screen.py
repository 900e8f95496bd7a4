"""The terminal of `--watch`: the page at the bottom, and all other output above it.

The output of the processes comes through a pipe, so that no process writes into the
page.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from .model.page import Page, Row

_UP: Final = "\x1b[{}F"
_CLEAR: Final = "\x1b[J"
# Lines of the terminal that stay free for other output.
_FREE: Final = 4


class Screen:
    """Draws nothing; what the runner has without --watch."""

    @property
    def sources(self) -> Sequence[int]:
        """Descriptors that `read` reads."""
        return ()

    def read(self) -> None:
        """Show the output of processes."""

    def redirect(self) -> None:
        """Send the output of this process, a new one, to the screen."""

    def add(self, done: int, failed: int) -> None:
        """Count the jobs of a process that has gone."""

    def draw(self, rows: Iterable[Row]) -> None:
        """Show what the processes do."""

    def close(self) -> None:
        """Leave the page as it is."""


class Terminal(Screen):
    """Draws the page on standard output, which is a terminal."""

    def __init__(self, title: str) -> None:
        self._page = Page(title)
        self._drawn: list[str] = []
        self._rest = b""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)

    @property
    def sources(self) -> Sequence[int]:
        return (self._reader,)

    def read(self) -> None:
        with suppress(BlockingIOError):
            while data := os.read(self._reader, 1 << 16):
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    self.above(f"{line.decode(errors='replace')}\n")

    def redirect(self) -> None:
        os.dup2(self._writer, 1)
        os.dup2(self._writer, 2)
        os.close(self._reader)

    def add(self, done: int, failed: int) -> None:
        self._page.add(done, failed)

    def above(self, text: str) -> None:
        """Write a text that ends with a line end above the page."""
        self._put(text, self._drawn)

    def draw(self, rows: Iterable[Row]) -> None:
        columns, lines = shutil.get_terminal_size()
        height = max(2, lines - _FREE)
        self._put("", self._page.lines(time.monotonic(), rows, columns, height))

    def _put(self, text: str, page: list[str]) -> None:
        erase = _UP.format(len(self._drawn)) + _CLEAR if self._drawn else ""
        self._drawn = page
        sys.stdout.write(erase + text + "".join(f"{line}\n" for line in page))
        sys.stdout.flush()

    def close(self) -> None:
        self.read()
        os.close(self._reader)
        os.close(self._writer)
