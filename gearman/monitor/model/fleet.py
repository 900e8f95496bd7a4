"""The last readings of all servers, and what follows from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import is_
from typing import Final

from . import counters as counting
from . import trouble
from .counters import NOTHING, Counters
from .readings import FunctionReading, Reading, seconds
from .views import (
    FunctionPart,
    FunctionView,
    Rates,
    ServerView,
    percentiles,
    rates,
)

# Percentiles, failures and growth are about so many seconds, up to twice as long.
WINDOW: Final = 60.0

UP: Final = "up"
DOWN: Final = "down"
OUTAGE: Final = "outage"
UNKNOWN: Final = "unknown"

_RATES: Final = ("submitted", "started", "completed", "failed", "retried")


# The readings of a function that its part is made of: the last one, the one before, and
# one of some time ago; and whether there was no reading before.
_Sources = tuple[FunctionReading, FunctionReading | None, FunctionReading | None, bool]


@dataclass(slots=True)
class _Server:
    """A server: its last readings, and one of one or two windows ago.

    `read` is when the last reading was; if the server is down, `last` is None.
    """

    address: str
    last: Reading | None = None
    before: Reading | None = None
    older: Reading | None = None
    newer: Reading | None = None
    health: str = UNKNOWN
    reason: str = "not read yet"
    since: float = 0.0
    read: float | None = None
    # Parts of functions, with the readings that they were made of.
    parts: dict[bytes, tuple[_Sources, FunctionPart]] = field(default_factory=dict)

    def part(self, name: bytes) -> FunctionPart | None:
        """Return a function of this server, None if it has none.

        As long as its readings are the same objects, the part is the same: of many
        functions most do nothing.
        """
        sources = self._sources(name)
        if sources is None:
            return None
        known = self.parts.get(name)
        if known is not None and _are_same(known[0], sources):
            return known[1]
        part = _part(self, sources)
        self.parts[name] = sources, part
        return part

    def _sources(self, name: bytes) -> _Sources | None:
        if self.last is None or name not in self.last.functions:
            return None
        before = None if self.before is None else self.before.functions.get(name)
        then = None if self.older is None else self.older.functions.get(name)
        return self.last.functions[name], before, then, self.before is None

    def take(self, reading: Reading) -> None:
        self.before, self.last = self.last, reading
        if self.newer is None:
            self.older = self.newer = reading
        elif reading.time - self.newer.time >= WINDOW:
            self.older, self.newer = self.newer, reading
        self.read = reading.time
        if len(self.parts) > 2 * len(reading.functions):
            self.parts.clear()


class Fleet:
    """All servers, in the order in which they were named.

    A server that is down has no functions; its counters go on when it is back.
    """

    def __init__(self, addresses: Iterable[str], now: float) -> None:
        self._servers = {each: _Server(each, since=now) for each in addresses}
        self._views: dict[tuple[bytes, str], FunctionView] = {}

    @property
    def addresses(self) -> list[str]:
        return list(self._servers)

    def take(self, address: str, reading: Reading) -> None:
        """Take what a server answered."""
        server = self._servers[address]
        server.take(reading)
        store = reading.facts.get("store")
        if isinstance(store, Mapping) and store.get("outage"):
            self._becomes(server, OUTAGE, "it can't store jobs", reading.time)
        else:
            self._becomes(server, UP, "", reading.time)

    def lose(self, address: str, reason: str, time: float) -> None:
        """Note that a server does not answer, and why."""
        server = self._servers[address]
        server.last = server.before = server.older = server.newer = None
        self._becomes(server, DOWN, reason, time)

    def _becomes(self, server: _Server, health: str, reason: str, time: float) -> None:
        if server.health != health:
            server.since = time
        server.health, server.reason = health, reason

    # -- views

    def reading(self, address: str) -> Reading | None:
        """Return the last reading of a server, None if it is down or unknown."""
        return self._servers[address].last

    def servers(self) -> list[ServerView]:
        return [_server_view(each) for each in self._servers.values()]

    def server(self, address: str) -> ServerView | None:
        """Return a server, None if it is none of the fleet's."""
        server = self._servers.get(address)
        return None if server is None else _server_view(server)

    def names(self) -> set[bytes]:
        """Return the names of all functions."""
        readings = (each.last for each in self._servers.values())
        return {
            name for each in readings if each is not None for name in each.functions
        }

    def functions(self, server: str = "") -> list[FunctionView]:
        """Return all functions, of one server if it is named: worst trouble first."""
        names = self.names()
        if len(self._views) > 2 * len(names) * (len(self._servers) + 1):
            self._views.clear()
        views = [view for name in names if (view := self.function(name, server))]
        return sorted(views, key=lambda view: (-view.score, view.name))

    def function(self, name: bytes, server: str = "") -> FunctionView | None:
        """Return a function, None if no server has it."""
        parts = [
            part
            for each in self._servers.values()
            if not server or each.address == server
            if (part := each.part(name)) is not None
        ]
        if not parts:
            return None
        known = self._views.get((name, server))
        if known is not None and _are_same(known.parts, parts):
            return known
        total = parts[0] if len(parts) == 1 else _sum(parts)
        score, sentence = max(map(trouble.find, (total, *parts)))
        total = replace(total, server="")
        view = FunctionView(name, score, sentence, total, (*parts,))
        self._views[name, server] = view
        return view

    def totals(self) -> ServerView:
        """Return the sums of all servers, as those of one without an address."""
        views = self.servers()
        several = [view.rates for view in views if view.rates is not None]
        sums = {
            name: sum(getattr(view, name) for view in views)
            for name in ("workers", "queued", "running", "delayed", "dead")
        }
        return ServerView(
            **sums,
            address="",
            health=UP if all(view.health == UP for view in views) else DOWN,
            reason="",
            since=0.0,
            read=max((view.read for view in views if view.read), default=None),
            version="",
            build="",
            uptime=None,
            counts=all(view.counts for view in views),
            functions=len(self.names()),
            rates=_sum_of_rates(several),
            facts={},
        )


def _are_same(some: Sequence[object], others: Sequence[object]) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))


def _server_view(server: _Server) -> ServerView:
    reading = server.last
    functions = [] if reading is None else list(reading.functions.values())
    facts = {} if reading is None else reading.facts
    return ServerView(
        address=server.address,
        health=server.health,
        reason=server.reason,
        since=server.since,
        read=server.read,
        version="" if reading is None else reading.version,
        build=str(facts.get("build", "")),
        uptime=seconds(facts.get("uptime")),
        counts=reading is None or reading.counts,
        functions=len(functions),
        workers=sum(each.workers for each in functions),
        queued=sum(each.queued for each in functions),
        running=sum(each.running for each in functions),
        delayed=sum(each.delayed for each in functions),
        dead=sum(each.dead for each in functions),
        rates=_sum_of_rates(
            [found for each in functions if (found := _rates(server, each)) is not None]
        ),
        facts=facts,
    )


def _part(server: _Server, sources: _Sources) -> FunctionPart:
    function, _, then, _ = sources
    counters = function.counters
    recent = None
    # A function that was not there then had no jobs.
    queued = 0 if then is None else then.queued
    if counters is not None:
        recent = counters.since(_counters(then))
    return FunctionPart(
        server=server.address,
        workers=function.workers,
        running=function.running,
        queued=function.queued,
        scheduled=function.scheduled,
        awaiting=function.awaiting,
        pending=function.pending,
        dead=function.dead,
        held=function.held,
        oldest=function.oldest,
        unstaffed=function.unstaffed,
        growth=function.queued - queued,
        rates=_rates(server, function),
        counters=counters,
        recent=recent,
        waits=None if recent is None else percentiles(recent.waits),
        runs=None if recent is None else percentiles(recent.runs),
    )


def _counters(function: FunctionReading | None) -> Counters:
    if function is None or function.counters is None:
        return NOTHING
    return function.counters


def _rates(server: _Server, function: FunctionReading) -> Rates | None:
    """Return the rates of a function between the last two readings of a server.

    They are None if the server does not count, or if there is only one reading yet.
    """
    last, before = server.last, server.before
    if function.counters is None or last is None or before is None:
        return None
    elapsed = last.time - before.time
    if elapsed <= 0:
        return None
    then = _counters(before.functions.get(function.name))
    return rates(function.counters, then, elapsed)


def _sum_of_rates(several: Sequence[Rates]) -> Rates | None:
    if not several:
        return None
    return Rates(*(sum(getattr(each, name) for each in several) for name in _RATES))


def _sum(parts: Sequence[FunctionPart]) -> FunctionPart:
    """Return a function on several servers as one."""
    oldest = [part.oldest for part in parts if part.oldest is not None]
    workers = sum(part.workers for part in parts)
    unstaffed = [part.unstaffed for part in parts if part.unstaffed is not None]
    recent = [part.recent for part in parts if part.recent is not None]
    counters = [part.counters for part in parts if part.counters is not None]
    summed = counting.total(recent)
    sums = {
        name: sum(getattr(part, name) for part in parts)
        for name in (
            *("running", "queued", "scheduled", "awaiting", "pending", "dead"),
            "growth",
        )
    }
    return FunctionPart(
        **sums,
        server="",
        workers=workers,
        held=all(part.held for part in parts),
        oldest=max(oldest, default=None),
        unstaffed=None if workers else min(unstaffed, default=None),
        rates=_sum_of_rates([part.rates for part in parts if part.rates is not None]),
        counters=counting.total(counters) if counters else None,
        recent=summed if recent else None,
        waits=percentiles(summed.waits) if recent else None,
        runs=percentiles(summed.runs) if recent else None,
    )
