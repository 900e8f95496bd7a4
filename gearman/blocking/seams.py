"""Whether a program has put methods of its own where a shortcut would pass by."""

from operator import attrgetter
from typing import Any


class Seams:
    """Methods of a class that subclasses, instances and tests may replace.

    A shortcut may be taken for an object only while all of them are intact.
    """

    def __init__(self, owner: type, *names: str) -> None:
        self._names = names
        self._read = attrgetter(*names)
        self._originals = self._read(owner)

    def intact(self, thing: Any) -> bool:
        """Whether the object has all methods as the class was written with."""
        if not thing.__dict__.keys().isdisjoint(self._names):
            return False
        try:
            return bool(self._read(type(thing)) == self._originals)
        except AttributeError:
            return False
