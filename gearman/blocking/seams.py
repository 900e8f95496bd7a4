"""Whether a program has put methods of its own where a shortcut would pass by."""

from operator import attrgetter
from typing import Any


class Seams:
    """Methods of a class that subclasses, instances and tests may replace.

    A shortcut may be taken for an object only while all of them are intact.
    """

    __slots__ = ("_names", "_originals", "_read")

    def __init__(self, owner: type, *names: str) -> None:
        self._names = frozenset(names)
        self._read = attrgetter(*names)
        self._originals = self._read(owner)

    def intact(self, thing: Any) -> bool:
        """Whether the object has all methods as the class was written with."""
        try:
            same: bool = self._read(thing.__class__) == self._originals
        except AttributeError:
            return False
        return same and self._names.isdisjoint(thing.__dict__)
