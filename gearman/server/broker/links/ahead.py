"""Jobs of other servers that are asked for before a worker here sleeps.

A worker that has soon ended a borrowed job comes back for another one. So for each such
worker one job is asked for ahead, or several if its jobs are short: else it would have
none while the next ones are under way. The other server gives them at once or when it
has them. A worker that does anything else, or takes long, counts no more; if too many
are asked for then, they are called off.
"""

from ..constants import GRAB_JOBS
from ..model import Function, Peer
from ..steering.starts import Starts
from .lenders import Lenders
from .remote import Remote

# A worker counts if its last borrowed job has taken at most so many seconds.
QUICK = 0.05
# If that was SHORT, it has so many jobs asked for, until one takes so long that the
# last of them would wait here for more than QUICK.
MOST = 4
SHORT = QUICK / MOST / 2


class Stock:
    """Of one function: how many jobs may be had, are asked for ahead, or are here.

    `most` may be had, for all workers that count. `asked` is how many servers still
    have to give, the sum of those `by` server. `waiting` is how many wait here for a
    worker.
    """

    __slots__ = ("asked", "by", "most", "name", "waiting")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.most = 0
        self.asked = 0
        self.waiting = 0
        self.by: dict[Remote, int] = {}


class Regular:
    """A worker that comes back for jobs of a function; `count` are asked for ahead."""

    __slots__ = ("count", "stock")

    def __init__(self, stock: Stock) -> None:
        self.stock = stock
        self.count = 0


class Ahead:
    """Asks for jobs when a turn ends, and counts those that were asked for.

    `starts` says which functions may start any, and `lenders` which servers have some.
    """

    def __init__(self, lenders: Lenders, starts: Starts) -> None:
        self._lenders = lenders
        self._starts = starts
        self._stocks: dict[bytes, Stock] = {}
        self._workers: dict[Peer, Regular] = {}
        # Functions whose borrowed jobs were started or have ended in this turn, with
        # the last server of which one has ended.
        self._taken: dict[Function, Remote | None] = {}

    def waits(self, name: bytes, change: int) -> None:
        """Note that one more borrowed job waits for a worker, or one less."""
        stock = self._stock(name)
        stock.waiting += change
        self._tidy(stock)

    def _stock(self, name: bytes) -> Stock:
        stock = self._stocks.get(name)
        if stock is None:
            stock = self._stocks[name] = Stock(name)
        return stock

    def _tidy(self, stock: Stock) -> None:
        if not (stock.most or stock.asked or stock.waiting):
            del self._stocks[stock.name]

    # -- workers

    def started(self, worker: Peer, function: Function) -> None:
        """Note that a worker has started a borrowed job."""
        if worker in self._workers:
            self._taken.setdefault(function, None)

    def ended(
        self, worker: Peer, function: Function, lender: Remote, seconds: float
    ) -> None:
        """Note that a worker has ended a job of a server, after so many seconds."""
        self._taken[function] = lender
        name = function.name
        if seconds > QUICK or name not in worker.abilities:
            return self.left(worker)
        regular = self._workers.get(worker)
        if regular is None or regular.stock.name != name:
            self.left(worker)
            regular = self._workers[worker] = Regular(self._stock(name))
        if seconds <= SHORT:
            self._set(regular, MOST)
        elif seconds > QUICK / MOST or not regular.count:
            # If too many are asked for now, they come, and no others until then.
            self._set(regular, 1)
        return None

    def _set(self, regular: Regular, count: int) -> None:
        regular.stock.most += count - regular.count
        regular.count = count

    def left(self, worker: Peer) -> None:
        """Note that a worker does something else, or is gone."""
        regular = self._workers.pop(worker, None)
        if regular is not None:
            stock = regular.stock
            self._set(regular, 0)
            if stock.asked + stock.waiting > stock.most:
                for remote in stock.by:
                    remote.request(GRAB_JOBS, (stock.name, b"0", b"0"))
            self._tidy(stock)

    # -- asking

    def end_turn(self) -> None:
        """Ask for as many jobs as are missing of the functions of this turn."""
        while self._taken:
            function, lender = self._taken.popitem()
            if not self._starts.blocks(function):
                self._fill(function, lender)

    def _fill(self, function: Function, lender: Remote | None) -> None:
        """Ask for jobs of a function, unless jobs of it wait that belong here.

        If no server is known to have one, the `lender` is asked for its next ones.
        """
        stock = self._stocks.get(function.name)
        if stock is None or self.belong_here(function):
            return
        counts: dict[Remote, int] = {}
        for _ in range(stock.most - stock.asked - stock.waiting):
            remote = self._lenders.take(function) or lender
            if remote is None or remote.peer is None:
                break
            counts[remote] = counts.get(remote, 0) + 1
        for remote, count in counts.items():
            self.ask(remote, function.name, count)

    def belong_here(self, function: Function) -> int:
        """Return how many jobs are queued that are not borrowed."""
        stock = self._stocks.get(function.name)
        return function.queued() - (0 if stock is None else stock.waiting)

    def ask(self, remote: Remote, name: bytes, count: int) -> None:
        """Ask a server for jobs, now or later."""
        stock = self._stocks[name]
        stock.asked += count
        stock.by[remote] = stock.by.get(remote, 0) + count
        remote.request(GRAB_JOBS, (name, b"0", b"%d" % count))

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
        self._tidy(stock)

    def unlink(self, remote: Remote) -> None:
        """Note that a server gives nothing more, since its link is broken."""
        for name in list(self._stocks):
            count = self.asked(remote, name)
            if count:
                self.met(remote, name, count)

    def abandon(self) -> None:
        """Forget all workers and jobs."""
        self._taken.clear()
        self._stocks.clear()
        self._workers.clear()
