"""What the thread of the store is to do when the changes until now are committed."""

from collections.abc import Callable

from ...queue import Queue

# It is called with the queue in the thread of the store. It may raise QueueError: then
# it is called again later.
Errand = Callable[[Queue], None]


class _Waiting:
    """An errand, and how many changes must be committed before it."""

    __slots__ = ("errand", "left", "taken")

    def __init__(self, errand: Errand, left: int) -> None:
        self.errand = errand
        self.left = left
        # How many of them are in a commit whose outcome is not known.
        self.taken = 0


class Errands:
    """Errands in their order.

    The oldest changes are committed first, so it is enough to count them.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        # Changes in a commit whose outcome is not known.
        self._under_way = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, errand: Errand, waiting: int) -> None:
        """Add an errand for after so many waiting changes, and those under way."""
        one = _Waiting(errand, waiting + self._under_way)
        one.taken = self._under_way
        self._waiting.append(one)

    def taken(self, count: int) -> None:
        """Note that so many changes, the oldest ones, are in a commit now."""
        self._under_way = count
        for one in self._waiting:
            one.taken = count

    def committed(self) -> None:
        self._under_way = 0
        for one in self._waiting:
            one.left -= one.taken
            one.taken = 0

    def failed(self, waiting: int) -> None:
        """Note that the commit has failed, and so many changes wait now."""
        self._under_way = 0
        for one in self._waiting:
            one.left, one.taken = waiting, 0

    def due(self) -> Errand | None:
        """Return the first errand, if its changes are committed; see `done`."""
        if self._waiting and self._waiting[0].left <= 0:
            return self._waiting[0].errand
        return None

    def done(self) -> None:
        """Forget the first errand."""
        del self._waiting[0]
