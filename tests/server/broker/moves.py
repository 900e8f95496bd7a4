"""Checks every move of a job against the table of allowed moves."""

from gearman.server.broker.states import MOVES


class Moves:
    """The `moves` of a broker's places: a move that is not allowed is an error."""

    def append(self, move: tuple[int, int, int]) -> None:
        event, place, to = move
        assert to in MOVES[event].get(place, ()), move
