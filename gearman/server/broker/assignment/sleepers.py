"""Which workers sleep, and which are woken.

A worker sleeps only while no job is queued for it. When a job is queued, sleeping
workers of its function are woken. If a woken worker does not take all jobs, other
workers are woken. So no job waits while a worker of its function sleeps.
"""

from collections import OrderedDict
from math import inf

from ..constants import NOOP, SLEEPING, WOKEN
from ..model import Function, Peer

# With `-w`: if a woken worker grabs nothing for so many seconds, others are woken.
WAKE_PATIENCE = 1.0


class Sleepers:
    """Wakes workers: `wakeup` of them for each job (0: all).

    In seconds of the monotonic clock, `now` is the time, and `first` is when to call
    `pass_over`.
    """

    def __init__(self, wakeup: int) -> None:
        self.wakeup = wakeup
        self.now = 0.0
        self.first = inf
        # Peers in the order in which they were woken, with `-w` only.
        self._woken: OrderedDict[Peer, None] = OrderedDict()

    def add(self, peer: Peer) -> None:
        """Put a worker to sleep; it must have no job to do."""
        peer.sleep = SLEEPING
        for function in peer.unlisted:
            function.sleepers[peer] = None
        peer.unlisted.clear()

    def forget(self, peer: Peer) -> None:
        """Forget a peer that has disconnected."""
        self._woken.pop(peer, None)

    def wake(self, function: Function) -> None:
        """Wake workers for a job of a function."""
        left = self.wakeup or len(function.sleepers)
        while left and function.sleepers:
            peer, _ = function.sleepers.popitem(last=False)
            peer.unlisted.append(function)
            if peer.sleep == SLEEPING:
                self.rouse(peer)
                left -= 1

    def rouse(self, peer: Peer) -> None:
        """Tell a worker that there is a job for it."""
        peer.sleep = WOKEN
        peer.send(NOOP, ())
        if self.wakeup:
            peer.patience = self.now + WAKE_PATIENCE
            self._woken[peer] = None
            self._woken.move_to_end(peer)
            first = next(iter(self._woken))
            self.first = first.patience

    def pass_over(self) -> None:
        """Wake other workers for each woken worker that has grabbed nothing in time."""
        while self._woken:
            peer = next(iter(self._woken))
            if peer.patience > self.now:
                break
            del self._woken[peer]
            if peer.sleep == WOKEN:
                self.pass_on(peer.functions)
        self.first = peer.patience if self._woken else inf

    def pass_on(self, functions: list[Function]) -> None:
        """Wake other workers for those of these functions that have jobs."""
        for function in functions:
            if function.sleepers and function.ready():
                self.wake(function)
