"""Checks every move of a job against the table of allowed moves."""

from typing import Any

from gearman.server.broker.states import MOVES

# The `watched` of a broker's places for all events.
ALL = (1 << max(MOVES) + 1) - 1


class Moves:
    """The `watch` of a broker's places: a move that is not allowed is an error."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int, int]] = []

    def moved(self, job: Any, event: int, to: int) -> None:
        move = (event, job.state, to)
        assert to in MOVES[event].get(job.state, ()), move
        self.made[:] = [move]

    def worker(self, peer: Any, *, came: bool) -> None:
        """Workers don't matter."""

    def paused(self, function: Any, *, on: bool) -> None:
        """Pauses don't matter."""

    def outage(self, reason: bytes) -> None:
        """Outages don't matter."""

    def left(self, peer: Any) -> None:
        """Connections don't matter."""
