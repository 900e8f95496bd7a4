"""Whether a program has replaced methods that a faster way does not call."""

from operator import attrgetter
from typing import Any


class Seams:
    """Methods of a class that subclasses, instances and tests may replace.

    A faster way that does not call them may be used only while none is replaced.
    """

    __slots__ = ("_names", "_originals", "_read")

    def __init__(self, owner: type, *names: str) -> None:
        self._names = frozenset(names)
        self._read = attrgetter(*names)
        self._originals = self._read(owner)

    def intact(self, thing: Any) -> bool:
        """Whether all these methods of an object are those of the original class."""
        try:
            same: bool = self._read(thing.__class__) == self._originals
        except AttributeError:
            return False
        return same and self._names.isdisjoint(thing.__dict__)
