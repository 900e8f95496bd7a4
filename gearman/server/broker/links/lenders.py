"""Servers of the cluster that have jobs of a function."""

from ..functions import Functions
from ..model import Function
from .remote import Remote


class Ready:
    """Jobs of a function that wait at another server: how many, and since when.

    Those that were asked for are not counted.
    """

    __slots__ = ("count", "since")

    def __init__(self, count: int, since: float) -> None:
        self.count = count
        self.since = since


class Lenders:
    """Keeps the `lenders` of functions; `count` is how many functions have any."""

    def __init__(self, functions: Functions) -> None:
        self.count = 0
        self._functions = functions

    def note(self, remote: Remote, function: Function, count: int, now: float) -> None:
        """Note that a server has so many jobs."""
        if function.lenders is None:
            function.lenders = {}
            self.count += 1
        ready = function.lenders.get(remote)
        if ready is None:
            function.lenders[remote] = Ready(count, now)
        else:
            ready.count = count

    def take(self, function: Function) -> Remote | None:
        """Return a server that has a job, which is asked for now; they take turns."""
        lenders: dict[Remote, Ready] | None = function.lenders
        if lenders is None:
            return None
        for remote, ready in lenders.items():
            if ready.count > 0:
                ready.count -= 1
                del lenders[remote]
                lenders[remote] = ready
                return remote
        return None

    def forget(self, remote: Remote, function: Function) -> None:
        """Note that a server has no job."""
        if function.lenders is not None:
            function.lenders.pop(remote, None)
            if not function.lenders:
                self.forget_all(function)

    def forget_all(self, function: Function) -> None:
        """Note that jobs of a function are of no use here."""
        if function.lenders is not None:
            function.lenders = None
            self.count -= 1

    def unlink(self, remote: Remote) -> None:
        """Forget what a server has, since its link is broken."""
        if self.count:
            for function in self._functions.known.values():
                self.forget(remote, function)
