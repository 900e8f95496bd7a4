"""Compaction: which live jobs are written again, so that old segments can be deleted.

Only the oldest segment is ever deleted. At that time the removals in it are no longer
needed: the jobs that they remove were in the same segment, or in one before it.
"""

import logging
from collections.abc import Container, Iterator, Mapping
from typing import Final, NamedTuple

from .._shared.locations import Index
from .._shared.records import JOBS, Found, job_number
from .segments import Segment

_log = logging.getLogger(__name__)

# Bytes that each commit reads for compaction: at least _LEAST, or _PACE for each byte
# that it adds. Compaction begins when half of all bytes are dead, so that a pace of
# three is fast enough.
_LEAST: Final = 256 * 1024
_PACE: Final = 3


class Move(NamedTuple):
    """A live job to be written again: its number, and the body of its record."""

    number: int
    body: bytes


class Compaction:
    """Reads the segments, oldest first, a limited part in each commit.

    It begins when more than half of all bytes, and more than `slack` bytes, are dead:
    they belong to no live job.
    """

    def __init__(
        self, index: Index, segments: Mapping[int, Segment], slack: int
    ) -> None:
        self._index = index
        self._segments = segments
        self.slack = slack
        self._suspects: list[Segment] = []
        # The number of the oldest segment, if some of its live jobs can't be read.
        self._stuck = 0
        self._segment: Segment | None = None
        self._rest: Iterator[Found] = iter(())
        self._exhausted = False

    def suspect(self, segment: Segment) -> None:
        """Move the live jobs of a segment whose last page may be damaged.

        A failed write may have damaged the page that it shares with the write before.
        """
        self._suspects.append(segment)

    def restart(self) -> None:
        """Read the segment again, since jobs of the last call were not stored."""
        self._segment = None
        self._exhausted = False

    def forget(self, segment: Segment) -> None:
        """Forget a segment that is deleted."""
        if segment in self._suspects:
            self._suspects.remove(segment)
        if segment is self._segment:
            self.restart()

    def moves(self, added: int, without: Container[int]) -> list[Move]:
        """Return jobs to be stored again by a commit that adds `added` bytes.

        Jobs whose numbers are in `without` are left out, since the commit replaces or
        removes them. The jobs of the last call must be stored by now, unless `restart`
        was called.
        """
        if self._exhausted:
            self._finish()
        segment = self._segment = self._segment or self._next()
        if segment is None:
            return []
        try:
            found = list(self._read(segment, max(_LEAST, _PACE * added)))
        except OSError as error:
            _log.error("cannot read %s: %s", segment.path, error)
            self._exhausted = True
            return []
        return [move for move in found if move.number not in without]

    def _read(self, segment: Segment, budget: int) -> Iterator[Move]:
        for offset, size, body in self._rest:
            if body is not None and body[:1] in JOBS:
                number = job_number(body)
                if self._index.holds(number, segment.number, offset):
                    yield Move(number, body)
            budget -= size
            if budget <= 0:
                return
        self._exhausted = True

    def _next(self) -> Segment | None:
        oldest, *newer = self._segments.values()
        if self._suspects:
            segment = self._suspects[0]
        elif newer and oldest.number != self._stuck and self._due():
            segment = oldest
        else:
            return None
        self._rest = segment.window().scan()
        return segment

    def _due(self) -> bool:
        size = sum(segment.end for segment in self._segments.values())
        return size - self._index.live > max(self._index.live, self.slack)

    def _finish(self) -> None:
        segment, self._segment = self._segment, None
        self._exhausted = False
        assert segment is not None
        if segment in self._suspects:
            self._suspects.remove(segment)
        elif self._index.live_in(segment.number):
            self._stuck = segment.number
            _log.error("%s has jobs that can't be read any more", segment.path)
