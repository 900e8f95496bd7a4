"""Who sleeps, and who is woken.

A worker sleeps only while nothing is queued for it. Whoever queues a job wakes the
sleepers of its function, and a worker that was woken passes the wake-up on if it leaves
work behind; so no job can wait beside a worker that sleeps.
"""

from collections import OrderedDict
from math import inf

from .constants import NOOP, SLEEPING, WOKEN
from .model import Function, Peer

# With `-w`, a woken worker that asks for nothing for so long is passed over (seconds).
WAKE_PATIENCE = 1.0


class Sleepers:
    """Wakes workers: `wakeup` of them for each job, 0 for all.

    `now` is the time by the monotonic clock, and `first` when to call `pass_over`.
    """

    def __init__(self, wakeup: int) -> None:
        self.wakeup = wakeup
        self.now = 0.0
        self.first = inf
        # Peers that were woken lately, the first one first.
        self._woken: OrderedDict[Peer, None] = OrderedDict()

    def add(self, peer: Peer) -> None:
        """Put a worker to sleep, which has no job to do."""
        peer.sleep = SLEEPING
        for function in peer.unlisted:
            function.sleepers[peer] = None
        peer.unlisted.clear()

    def forget(self, peer: Peer) -> None:
        """A peer is gone."""
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
        """Wake others in the place of those who were woken and ask for nothing."""
        while self._woken:
            peer = next(iter(self._woken))
            if peer.patience > self.now:
                break
            del self._woken[peer]
            if peer.sleep == WOKEN:
                self.pass_on(peer.functions)
        self.first = peer.patience if self._woken else inf

    def pass_on(self, functions: list[Function]) -> None:
        """Wake somebody else for these functions, as far as they have jobs."""
        for function in functions:
            if function.sleepers and function.ready():
                self.wake(function)
