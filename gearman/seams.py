"""Whether a program has put methods of its own where a shortcut would pass by."""

from typing import Any


class Seams:
    """Methods of a class that subclasses, instances and tests may replace.

    A shortcut may be taken for an object only while all of them are intact.
    """

    def __init__(self, owner: type, *names: str) -> None:
        self._names = frozenset(names)
        self._originals = tuple((name, getattr(owner, name)) for name in names)

    def intact(self, thing: Any) -> bool:
        """Whether the object has all methods as the class was written with."""
        if not self._names.isdisjoint(thing.__dict__):
            return False
        kind = type(thing)
        for name, original in self._originals:
            if getattr(kind, name, None) is not original:
                return False
        return True
