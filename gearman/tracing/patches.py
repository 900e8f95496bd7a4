"""Methods of classes that are replaced, and given back."""

from collections.abc import Callable
from functools import wraps
from typing import Any


class Patches:
    """The methods that are replaced, in their order.

    A method is replaced in its class. So programs without traces run the code that
    they run without this module, and subclasses that extend a method get the new one.
    """

    def __init__(self) -> None:
        self._originals: list[tuple[type, str, Any]] = []

    def wrap(
        self, owner: type, name: str, make: Callable[[Callable[..., Any]], Any]
    ) -> None:
        """Replace a method of a class by what `make` makes of it."""
        original = owner.__dict__[name]
        self._originals.append((owner, name, original))
        setattr(owner, name, wraps(original)(make(original)))

    def undo(self) -> None:
        """Give all methods back."""
        while self._originals:
            owner, name, original = self._originals.pop()
            setattr(owner, name, original)
