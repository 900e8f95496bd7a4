"""The share of `max-running` and `rate` that this server has, and those that it grants.

The home of a function is the owner of the shard where a unique like its name belongs.
Each server reports what it needs to the homes, and gets its shares: see
`cluster.tokens`. If there is no home, or no link to it, the share is soon over.
"""

from math import inf

from ...cluster.home import home_of
from ...cluster.tokens import SPAN, TERM, Shares
from ..broker import Broker
from ..constants import LINK_GRANT, LINK_TOKENS
from ..model import Function
from ..steering.start_limits import StartLimits
from .remote import Remote
from .routes import Routes

# Seconds between two reports at least.
PAUSE = 0.02


class Part:
    """What this server has told the home of a function, and when.

    Of the report, at the time `asked`, the answer is still to come if it `waits`.
    """

    __slots__ = ("asked", "due", "home", "idle", "waits")

    def __init__(self, due: float) -> None:
        self.asked = -inf
        self.due = due
        self.home: Remote | None = None
        self.waits = False
        self.idle = False


class Sharing:
    """Shares limits with other servers. `first` is when to call `tick`."""

    def __init__(self, broker: Broker, routes: Routes) -> None:
        self.first = inf
        self._broker = broker
        self._routes = routes
        self._parts: dict[Function, Part] = {}
        # Of functions whose home is here: the shares of those that run, and of starts.
        self._books: dict[bytes, tuple[Shares, Shares]] = {}
        # The shards that this server owns, and since when.
        self._own: frozenset[int] | None = None
        self._since: dict[int, float] = {}

    # -- what this server needs

    def needs(self, function: Function) -> None:
        """Note that a function has no share left; it may have no jobs."""
        if function not in self._parts:
            if not _queued(function):
                return
            self._parts[function] = Part(self._broker.now)
        part = self._parts[function]
        if _queued(function) and not part.waits:
            part.idle = False
            part.due = min(part.due, max(self._broker.now, part.asked + PAUSE))
            self.first = min(self.first, part.due)

    def tick(self, now: float) -> None:
        """Report what is needed, and end the shares that are over."""
        if self.first > now:
            return
        self.first = inf
        for function, part in list(self._parts.items()):
            if part.due <= now:
                self._report(function, part, now)
        for part in self._parts.values():
            self.first = min(self.first, part.due)

    def _report(self, function: Function, part: Part, now: float) -> None:
        limits = function.starts
        known = self._broker.functions.known.get(function.name) is function
        if limits is None or part.idle or not known:
            del self._parts[function]
            return
        if limits.over <= now:
            limits.may_run = limits.may_start = 0
        starts = self._broker.places.starts
        starts.forget_old(limits)
        shard = home_of(function.name, function.name)
        home = self._routes.owner_of(shard)
        if home is not part.home:
            part.home, part.waits = home, False
        if not part.waits and (home is not None or self._is_home(shard)):
            self._ask(function, part, limits, now)
        part.due = now + SPAN
        if limits.over > now:
            part.due = min(part.due, limits.over)
        starts.look(function)

    def _ask(
        self, function: Function, part: Part, limits: StartLimits, now: float
    ) -> None:
        runs = function.running - function.borrowed
        queued = _queued(function) if function.workers else 0
        if self._broker.places.starts.blocks(function):
            queued = 0
        wanted = min(runs + queued, limits.most)
        kept = max(min(limits.may_run, wanted), min(runs, limits.most))
        starts = min(queued, limits.count)
        unused = min(limits.may_start, starts)
        # What is not needed is given back at once.
        limits.may_run, limits.may_start = min(limits.may_run, kept), unused
        limits.recent = 0
        part.asked, part.waits = now, True
        part.idle = not (wanted or kept or unused or limits.started)
        running = (kept, wanted, limits.most)
        started = (max(unused, 0), starts, limits.started, limits.count)
        if part.home is None:
            shares = self._grant(0, function.name, running, started, limits.seconds)
            _take(part, limits, shares[0], shares[1])
        else:
            rate = b"%d %d %d %d %f" % (*started, limits.seconds)
            request = (function.name, b"%d %d %d" % running, rate)
            part.home.request(LINK_TOKENS, request)

    def granted(self, remote: Remote, name: bytes, running: int, starts: int) -> None:
        """Take up the share that the home of a function has granted."""
        function = self._broker.functions.known.get(name)
        if function is None:
            return
        part, limits = self._parts.get(function), function.starts
        if part is not None and limits is not None and part.home is remote:
            _take(part, limits, running, starts)
            self._broker.places.starts.look(function)

    def lost(self, remote: Remote) -> None:
        """Expect no more answers from a server."""
        for part in self._parts.values():
            if part.home is remote:
                part.home, part.waits = None, False

    # -- what others need

    def asked(self, remote: Remote, name: bytes, running: bytes, starts: bytes) -> None:
        """Grant another server a share: none if this is not the function's home.

        Raises ValueError if it has not said what it needs.
        """
        shares = 0, 0
        if self._is_home(home_of(name, name)):
            kept, wanted, most = map(int, running.split())
            *numbers, text = starts.split()
            unused, more, spent, count = map(int, numbers)
            seconds = float(text)
            if not 0 <= seconds < inf:
                raise ValueError(f"a time is {seconds}")
            shares = self._grant(
                remote.id,
                name,
                (kept, wanted, most),
                (unused, more, spent, count),
                seconds,
            )
        remote.respond(LINK_GRANT, (name, b"%d" % shares[0], b"%d" % shares[1]))

    def _is_home(self, shard: int) -> bool:
        """Whether this server owns a shard for sure."""
        self.look()
        return shard in self._since and self._broker.owned_until > self._broker.now

    def look(self) -> None:
        """Look for which shards this server is the home now."""
        own, now = self._broker.stored.shards, self._broker.now
        if own is not self._own:
            self._own = own
            self._since = {shard: self._since.get(shard, now) for shard in own}
            for name in list(self._books):
                if home_of(name, name) not in own:
                    del self._books[name]

    def _grant(
        self,
        server: int,
        name: bytes,
        running: tuple[int, int, int],
        starts: tuple[int, int, int, int],
        seconds: float,
    ) -> tuple[int, int]:
        now = self._broker.now
        if name not in self._books:
            since = self._since[home_of(name, name)]
            self._books[name] = Shares(since), Shares(since)
        runs, rate = self._books[name]
        kept, wanted, most = running
        unused, more, spent, count = starts
        may_run = runs.report(server, kept, wanted, 0, most, 0.0, now)
        may_start = rate.report(server, unused, more, spent, count, seconds, now)
        return may_run, may_start


def _take(part: Part, limits: StartLimits, running: int, starts: int) -> None:
    part.waits = False
    limits.may_run = running
    limits.may_start = starts - limits.recent
    limits.over = part.asked + TERM


def _queued(function: Function) -> int:
    """Return how many jobs of a function could start."""
    high, normal, low = function.queues
    return int(high.count + normal.count + low.count)
