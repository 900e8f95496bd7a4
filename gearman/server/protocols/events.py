"""What happens to jobs and functions, as it happens, for those who listen.

The broker tells `Events` of each move of a job, if anybody listens. Each listener gets
the events that it wishes, in their order, while the broker carries out a verb. It must
be quick, and drops what it can't take at once.
"""

from fnmatch import fnmatchcase
from typing import Final, NamedTuple, Protocol

from ...text import shown, text_or_base64
from ..broker import Broker, Function, Job, Peer
from ..broker.states import (
    ABANDONED,
    ASSIGNED,
    CANCELLED,
    COMPLETED,
    DEAD,
    DUE,
    EXPIRED,
    FAILED,
    FORGOTTEN,
    GIVEN_UP,
    GONE,
    LOST,
    PASSED_ON,
    PENDING,
    QUEUED,
    RAISED,
    RELEASED,
    RESTORED,
    RETURNED,
    REVIVED,
    RUNNING,
    SHELVED,
    STORED,
    SUBMITTED,
    UNSTORED,
)
from .fields import PRIORITIES, STATES, seconds, worker_fields
from .lines import json_line
from .query import parse_query, words

# The names of events. That a job failed and is tried again has a name of its own.
_NAMES: Final = {
    SUBMITTED: "submitted",
    STORED: "submitted",
    UNSTORED: "refused",
    RESTORED: "restored",
    DUE: "queued",
    RELEASED: "queued",
    ASSIGNED: "started",
    LOST: "lost",
    COMPLETED: "completed",
    FAILED: "failed",
    RAISED: "exception",
    RETURNED: "retried",
    GIVEN_UP: "given_up",
    EXPIRED: "expired",
    CANCELLED: "cancelled",
    ABANDONED: "abandoned",
    SHELVED: "shelved",
    REVIVED: "revived",
    FORGOTTEN: "forgotten",
    PASSED_ON: "passed_on",
}
# By these a job may leave its worker.
_LEAVING: Final = frozenset(
    {
        *(LOST, COMPLETED, FAILED, RAISED, RETURNED),
        *(GIVEN_UP, CANCELLED, ABANDONED, SHELVED, PASSED_ON),
    }
)
JOB_EVENTS: Final = frozenset(_NAMES.values())
# What workers, functions and the store do.
OTHER_EVENTS: Final = frozenset(
    {
        *("worker_came", "worker_left", "paused", "resumed"),
        *("outage_began", "outage_ended"),
    }
)
NAMES: Final = JOB_EVENTS | OTHER_EVENTS

# With these a job has ended, whatever becomes of it: it is not tried again by itself.
ENDS: Final = frozenset(
    {
        *("completed", "failed", "exception", "given_up", "expired"),
        *("cancelled", "abandoned", "refused", "passed_on"),
    }
)


_NONE: Final[dict[str, object]] = {}


class Event:
    """Something that has happened. `record` is the same as an object for JSON.

    `time` is in seconds since the epoch. `function` is None for events of a worker or
    of the store.
    """

    __slots__ = ("_line", "function", "name", "record", "time")

    def __init__(
        self, name: str, time: float, function: bytes | None, record: dict[str, object]
    ) -> None:
        self.name = name
        self.time = time
        self.function = function
        self.record = record
        self._line = b""

    def line(self) -> bytes:
        """Return the event as a line of JSON."""
        if not self._line:
            self._line = json_line(self.record)
        return self._line


class Wish(NamedTuple):
    """Which events a listener gets: by their names, and by patterns of functions.

    Without patterns it gets those that are about no function, too.
    """

    names: frozenset[str] = NAMES
    functions: tuple[bytes, ...] = ()

    def has(self, name: str, function: bytes | None) -> bool:
        if name not in self.names:
            return False
        if not self.functions:
            return True
        return function is not None and any(
            fnmatchcase(function, pattern) for pattern in self.functions
        )


def parse_wish(text: bytes) -> Wish:
    """Read `events=NAME,NAME&functions=PATTERN,PATTERN`; both may be missing.

    In a pattern, * stands for any characters, ? for one. Bytes may be written as %XX,
    as a comma or a blank in a name must be. Raises ValueError, with a sentence.
    """
    values = parse_query(text, {"events": words, "functions": words})
    names = [name.decode(errors="replace") for name in values.get("events", ())]
    for name in names:
        check_event(name)
    return Wish(frozenset(names) or NAMES, tuple(values.get("functions", ())))


def check_event(name: str) -> None:
    """Raise ValueError, with a sentence, if there is no event of this name."""
    if name not in NAMES:
        text = f"'{shown(name.encode())}' is no event: choose from"
        raise ValueError(f"{text} {', '.join(sorted(NAMES))}")


class Listener(Protocol):
    """Gets the events that it wants, of these names.

    What an event says of waiting is known only if `started` is among the names.
    """

    @property
    def names(self) -> frozenset[str]: ...

    def wants(self, name: str, function: bytes | None) -> bool:
        """Whether it takes such an event now. An event that nobody wants costs less."""

    def take(self, event: Event) -> None:
        """Take an event. Must be quick, and must not raise or call the broker."""

    def left(self, peer: Peer) -> None:
        """Note that a peer has disconnected."""


class Events:
    """Passes on what the broker tells, while there are listeners."""

    def __init__(self, broker: Broker) -> None:
        self._places = broker.places
        self._listeners: list[Listener] = []
        # For how long each running job has waited, by its number.
        self._waited: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Listener) -> None:
        """Give a listener what happens from now on."""
        self._listeners = [*self._listeners, listener]
        self._watch()

    def remove(self, listener: Listener) -> None:
        """Give a listener nothing more."""
        self._listeners = [each for each in self._listeners if each is not listener]
        self._watch()

    def _watch(self) -> None:
        """Have the broker tell what listeners want, and nothing else."""
        names = frozenset[str]().union(*(each.names for each in self._listeners))
        events = {event for event, name in _NAMES.items() if name in names}
        if "retried" in names:
            events |= {FAILED, RAISED}
        if ASSIGNED in events:
            events |= _LEAVING
        else:
            self._waited.clear()
        self._places.watched = sum(1 << event for event in events)
        self._places.watch = self if self._listeners else None

    # -- told by the broker

    def moved(self, job: Job, event: int, to: int) -> None:
        """Pass on a move of a job, which is still at its old place."""
        place, number = job.state, job.number
        ran = waited = None
        if to == RUNNING:
            waited = self._waited[number] = self._places.now - job.since
        elif place == RUNNING:
            ran = self._places.now - job.since
            waited = self._waited.pop(number, None)
        elif place == QUEUED:
            waited = self._places.now - job.since
        if to == PENDING or (event == REVIVED and place == DEAD):
            # Not before the job is stored; not what becomes of the dead one.
            return
        name = _NAMES[event]
        if event in (FAILED, RAISED) and to != GONE:
            name = "retried"
        function = job.function.name
        takers = [each for each in self._listeners if each.wants(name, function)]
        if takers:
            record = _job_fields(job, to)
            if waited is not None:
                record["waited"] = seconds(waited)
            if ran is not None:
                record["ran"] = seconds(ran)
            self._give(takers, name, function, record)

    def worker(self, peer: Peer, *, came: bool) -> None:
        """Pass on that a worker has its first function, or has none left."""
        fields: dict[str, object] = {"worker": worker_fields(peer)}
        self._pass_on("worker_came" if came else "worker_left", None, fields)

    def paused(self, function: Function, *, on: bool) -> None:
        """Pass on that a function is paused, or no longer."""
        fields: dict[str, object] = {"function": text_or_base64(function.name)}
        self._pass_on("paused" if on else "resumed", function.name, fields)

    def outage(self, reason: bytes) -> None:
        """Pass on that nothing can be stored; b"" is the end of that."""
        self._pass_on("outage_began" if reason else "outage_ended", None, {})

    def left(self, peer: Peer) -> None:
        """Tell listeners that a peer has disconnected."""
        for listener in self._listeners:
            listener.left(peer)

    def _pass_on(
        self, name: str, function: bytes | None, fields: dict[str, object]
    ) -> None:
        takers = [each for each in self._listeners if each.wants(name, function)]
        if takers:
            self._give(takers, name, function, fields)

    def _give(
        self,
        takers: list[Listener],
        name: str,
        function: bytes | None,
        fields: dict[str, object],
    ) -> None:
        event = self.event(name, fields, function)
        for listener in takers:
            listener.take(event)

    def event(
        self,
        name: str,
        fields: dict[str, object] = _NONE,
        function: bytes | None = None,
    ) -> Event:
        """Return an event that happens now, with its time, its name and more fields."""
        time = self._places.wall
        record = {"time": seconds(time), "event": name, **fields}
        return Event(name, time, function, record)


def _job_fields(job: Job, to: int) -> dict[str, object]:
    fields: dict[str, object] = {
        "handle": text_or_base64(job.handle),
        "function": text_or_base64(job.function.name),
        "unique": text_or_base64(job.unique),
        "state": STATES[to],
        "priority": PRIORITIES[job.priority],
        "background": bool(job.background),
    }
    extra = job.extra
    if extra is not None and extra.attempts:
        fields["attempts"] = extra.attempts
    if extra is not None and extra.reason:
        fields["reason"] = text_or_base64(extra.reason)
    if extra is not None and extra.options is not None and extra.options.trace:
        fields["trace"] = extra.options.trace
    if job.worker is not None:
        fields["worker"] = worker_fields(job.worker)
    return fields
