"""Jobs of other servers that are asked for before a worker here sleeps.

A worker that has soon ended a borrowed job comes back for another one. So for each such
worker one job is asked for ahead, which the other server gives at once or when it has
one. A worker that does anything else, or takes long, counts no more; if too many are
asked for then, they are called off.
"""

from ..constants import GRAB_JOBS
from ..model import Function, Peer
from .remote import Remote

# A worker counts if its last borrowed job has taken at most so many seconds.
QUICK = 0.05


class Stock:
    """Of one function: how many jobs may be had, are asked for ahead, or are here.

    One may be had for each of the `workers`. `asked` is how many servers still have to
    give, the sum of those `by` server. `waiting` is how many wait here for a worker.
    """

    __slots__ = ("asked", "by", "waiting", "workers")

    def __init__(self) -> None:
        self.workers = 0
        self.asked = 0
        self.waiting = 0
        self.by: dict[Remote, int] = {}


class Ahead:
    """Says whether one more job may be asked for, and counts those that were."""

    def __init__(self) -> None:
        self._stocks: dict[bytes, Stock] = {}
        # The workers that count, and for which function.
        self._workers: dict[Peer, bytes] = {}

    def waits(self, name: bytes, change: int) -> None:
        """Note that one more borrowed job waits for a worker, or one less."""
        stock = self._stocks.get(name)
        if stock is None:
            stock = self._stocks[name] = Stock()
        stock.waiting += change
        self._tidy(name, stock)

    def _tidy(self, name: bytes, stock: Stock) -> None:
        if not (stock.workers or stock.asked or stock.waiting):
            del self._stocks[name]

    # -- workers

    def ended(self, worker: Peer, function: Function, seconds: float) -> None:
        """Note that a worker has ended a borrowed job, after so many seconds."""
        name = function.name
        if seconds > QUICK or name not in worker.abilities:
            self.left(worker)
        elif self._workers.get(worker) != name:
            self.left(worker)
            self._workers[worker] = name
            stock = self._stocks.get(name)
            if stock is None:
                stock = self._stocks[name] = Stock()
            stock.workers += 1

    def counts(self, worker: Peer) -> bool:
        """Whether a worker comes back for borrowed jobs."""
        return worker in self._workers

    def left(self, worker: Peer) -> None:
        """Note that a worker does something else, or is gone."""
        name = self._workers.pop(worker, None)
        if name is None:
            return
        stock = self._stocks[name]
        stock.workers -= 1
        if stock.asked + stock.waiting > stock.workers:
            for remote in stock.by:
                remote.request(GRAB_JOBS, (name, b"0", b"0"))
        self._tidy(name, stock)

    # -- asking

    def is_wanted(self, function: Function) -> bool:
        """Whether to ask for one more job: no job that belongs here waits."""
        stock = self._stocks.get(function.name)
        if stock is None or stock.asked + stock.waiting >= stock.workers:
            return False
        return not self.belong_here(function)

    def belong_here(self, function: Function) -> int:
        """Return how many jobs are queued that are not borrowed."""
        stock = self._stocks.get(function.name)
        return function.queued() - (0 if stock is None else stock.waiting)

    def ask(self, remote: Remote, name: bytes) -> None:
        """Ask a server for a job, now or later."""
        stock = self._stocks[name]
        stock.asked += 1
        stock.by[remote] = stock.by.get(remote, 0) + 1
        remote.request(GRAB_JOBS, (name, b"0", b"1"))

    def asked(self, remote: Remote, name: bytes) -> int:
        """Return how many jobs a server still has to give."""
        stock = self._stocks.get(name)
        return 0 if stock is None else stock.by.get(remote, 0)

    def met(self, remote: Remote, name: bytes, count: int = 1) -> None:
        """Note that a server has given jobs, or does not give them."""
        stock = self._stocks[name]
        stock.asked -= count
        stock.by[remote] -= count
        if not stock.by[remote]:
            del stock.by[remote]
        self._tidy(name, stock)

    def unlink(self, remote: Remote) -> None:
        """Note that a server gives nothing more, since its link is broken."""
        for name in list(self._stocks):
            count = self.asked(remote, name)
            if count:
                self.met(remote, name, count)

    def abandon(self) -> None:
        """Forget all workers and jobs."""
        self._stocks.clear()
        self._workers.clear()
