"""Holds every move of a job against the table of those that there may be."""

from gearman.server.broker.states import MOVES


class Moves:
    """Stands for the `moves` of a broker's places: a wrong one is an error."""

    def append(self, move: tuple[int, int, int]) -> None:
        event, place, to = move
        assert to in MOVES[event].get(place, ()), move
