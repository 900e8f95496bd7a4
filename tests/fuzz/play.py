"""Plays a script on a server of one build, without sockets and without a clock."""

import os
import time
from collections.abc import Callable
from datetime import UTC
from math import inf
from typing import Any

from gearman import __version__
from gearman.commands import HEADER_SIZE
from gearman.options import Schedule, job_options, parse_policy
from gearman.server.broker.stats import COUNTERS
from tests.fuzz.answers import READERS, HttpAnswers
from tests.fuzz.builds import Build
from tests.fuzz.script import ASSIGNED, CREATED, FIRST_HANDLE, Script, Step
from tests.server.broker.moves import ALL, Moves
from tests.wire import packet

# Small, so that the limit is reached often.
MAX_PACKET = 20_000
MAX_INPUT = 128 * 1024
HTTP_TIMEOUT = 20

# Guests have descriptors from this number on.
DESCRIPTOR = 500

# A request of each protocol that is always answered.
FENCES = {
    "gear": packet("ECHO_REQ", b"fence"),
    "http": b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
    "memcached": b"version\r\n",
}
ANSWERS = {
    "gear": packet("ECHO_RES", b"fence", magic=b"\0RES"),
    "http": b"alive",
    "memcached": b"VERSION ",
}


class Guest:
    """A connection, with the work that a listener does for it."""

    def __init__(self, site: "Site", who: int, kind: str) -> None:
        self._site = site
        self.who = who
        self.kind = kind
        self.answers = READERS[kind]()
        trace = site.trace
        if isinstance(self.answers, HttpAnswers):
            trace = self.answers.note
        service = site.services[kind]
        self._read_size = service.read_size
        self.protocol: Any = service.connect("127.0.0.1", DESCRIPTOR + who, trace)
        self.peer = self.protocol.peer
        self.peer.connection = self
        self._unread = b""
        self.sent = b""

    def receive(self, data: bytes) -> None:
        """Receive data; while the connection is paused, it waits as in a socket."""
        self._unread += data
        self._site.note(self)
        while self._unread and not (self.protocol.paused or self.ended):
            size = self._read_size
            data, self._unread = self._unread[:size], self._unread[size:]
            self._site.begin_turn()
            self.protocol.receive(data)
            self._site.end_turn()

    @property
    def ended(self) -> bool:
        return self.protocol.finished or self.protocol.error is not None

    def flush(self) -> None:
        self._site.note(self)
        self.sent += self.protocol.data_to_send()
        if self.protocol.ready and not self.ended:
            self.protocol.resume()
        if self._unread:
            # What has waited in the socket, if the connection is read from again.
            self.receive(b"")

    def wait(self) -> None:
        if self.protocol.deadline <= self._site.broker.now and not self.ended:
            self._site.note(self)
            self.protocol.expire()

    def check_sizes(self) -> None:
        """Fail if more is kept than the protocol's limits allow."""
        if self.kind == "gear":
            assert self.protocol.buffered <= MAX_PACKET + HEADER_SIZE
        else:
            assert len(self.protocol._input) <= MAX_INPUT

    def idle(self) -> bool:
        """Whether the next bytes would be a new request."""
        if self._unread or self.ended or self.protocol.paused:
            return False
        if self.kind == "gear":
            return not self.protocol.buffered
        protocol = self.protocol
        if self.kind == "http":
            return protocol._stage.name == "HEAD" and not protocol._input
        waits = protocol._value or protocol._skip or protocol._unacknowledged
        return not (waits or protocol._input)


# The schedule that the admin commands of scripts name.
SCHEDULE = Schedule(
    "s", "never", UTC, b"f", b"w", b"u", job_options({"retries": 1}), catch_up=5.0
)


class Never:
    """The times of schedules that run only when they are asked to."""

    def following(self, schedule: Schedule, after: float) -> float:
        return inf

    def preceding(self, schedule: Schedule, until: float) -> float:
        return -inf


class Site:
    """A server of one build, and its guests.

    With `like_listener`, it has the time and the identity of a listener in this
    process.
    """

    def __init__(
        self, build: Build, script: Script, like_listener: bool = False
    ) -> None:
        self.broker = build.broker.Broker(
            handle_prefix=b"H",
            first_handle=FIRST_HANDLE,
            limits=build.broker.Limits(**script.limits),
            **script.of_broker,
        )
        self.broker.places.watch = Moves()
        self.broker.places.watched = ALL
        shutdown = None if like_listener else lambda graceful: None
        identity = build.admin.Identity(__version__, os.getpid(), "NOTICE", shutdown)
        self.server = build.protocol.Server(self.broker, __version__, MAX_PACKET)
        self.services = {
            "gear": build.gear.Gear(
                self.server, build.admin.Admin(self.broker, identity)
            ),
            "http": build.services["http"](self.server, timeout=HTTP_TIMEOUT),
            "memcached": build.services["memcached"](self.server),
        }
        self.trace = (lambda text: None) if script.trace else None
        self.now = 1000.0
        self.wall = time.time() if like_listener else 1_700_000_000.0
        self.guests: dict[int, Guest] = {}
        # The guests with new data, and those that must be looked at again.
        self._active: dict[Guest, None] = {}
        self._gone: dict[Guest, None] = {}
        self.created = CREATED
        self._changes: list[Any] = []
        self._steps: dict[str, Callable[..., None]] = {
            "join": self._join,
            "send": self._send,
            "leave": self._leave,
            "wait": self._wait,
            "store": self._store,
            "outage": self._outage,
            "drain": self._drain,
            "policy": self._policy,
            "dead": self._dead,
        }
        self._records: list[Any] = []
        self.begin_turn()
        for name, text in script.policies.items():
            self._policy(name, text)
        self.broker.schedules.read = build.schedules.set_schedule
        schedules = [SCHEDULE] if script.scheduled else []
        self.broker.schedules.load(schedules, Never(), self.wall)

    # -- steps

    def step(self, step: Step) -> list[tuple[int, bytes, str]]:
        """Play a step; return the data each guest got, and why connections ended."""
        what, *arguments = step
        self._steps[what](*arguments)
        while ended := [guest for guest in self._active if guest.ended]:
            for guest in sorted(ended, key=lambda it: it.who):
                self._dismiss(guest)
        active, self._active = self._active, {}
        gone, self._gone = self._gone, {}
        ordered = sorted({**active, **gone}, key=lambda it: it.who)
        outcomes = [self._outcome(guest) for guest in ordered]
        # If one guest ended another's connection: in the order of a listener.
        for guest in sorted(gone, key=lambda it: it.who):
            self._join(guest.who, guest.kind)
        return outcomes

    def _dismiss(self, guest: Guest) -> None:
        del self._active[guest]
        if self.guests.get(guest.who) is guest:
            self._gone[guest] = None
            self._leave(guest.who)

    def _outcome(self, guest: Guest) -> tuple[int, bytes, str]:
        sent, guest.sent = guest.sent, b""
        answers = guest.answers
        if sent:
            answers.read(sent)
            self.created = answers.created or self.created
        if not guest.ended:
            return guest.who, sent, ""
        answers.end()
        return guest.who, sent, f"{guest.protocol.error or 'finished'}"

    def _join(self, who: int, kind: str) -> None:
        if who not in self.guests:
            self.begin_turn()
            guest = self.guests[who] = Guest(self, who, kind)
            self.broker.connect(guest.peer)

    def _send(self, who: int, data: bytes) -> None:
        guest = self.guests[who]
        if ASSIGNED in data:
            data = data.replace(ASSIGNED, guest.answers.assigned or ASSIGNED)
        guest.receive(data.replace(CREATED, self.created))

    def _leave(self, who: int) -> None:
        guest = self.guests.pop(who, None)
        if guest is not None:
            guest.check_sizes()
            self.begin_turn()
            self.broker.disconnect(guest.peer)
            self.end_turn()
            peer = guest.peer
            assert [*peer.waiting, *peer.jobs, *peer.functions] == []

    def _wait(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds
        self.begin_turn()
        for guest in list(self.guests.values()):
            guest.wait()
        self.end_turn()

    def _store(self, works: bool) -> None:
        changes, self._changes = self._changes, []
        jobs = [change for change in changes if not isinstance(change, int)]
        self.begin_turn()
        numbers, self._records = self._records, []
        if works:
            self.broker.stored.durable(jobs)
            self.broker.stored.recorded(numbers)
        else:
            self.broker.stored.failed(jobs, b"the disk is full")
            self.broker.stored.record_again(numbers)
        self.end_turn()

    def _policy(self, name: bytes, text: bytes) -> None:
        self.begin_turn()
        self.broker.policies.set(name, parse_policy(text))
        self.end_turn()

    def _dead(self, revives: bool) -> None:
        dead = self.broker.dead
        for job in list(dead.known.values())[:1]:
            self.begin_turn()
            dead.revive(job) if revives else dead.forget(job)
            self.end_turn()

    def _outage(self, there_is_one: bool) -> None:
        self.broker.outage = b"no disk" if there_is_one else b""

    def _drain(self) -> None:
        self.server.draining = self.broker.schedules.stopped = True
        if self.broker.persistent:
            self.begin_turn()
            self.broker.stored.shelve()
            self.end_turn()

    def note(self, guest: Guest) -> None:
        """Note that a guest has new data."""
        self._active[guest] = None

    # -- turns, as a listener has them

    def begin_turn(self) -> None:
        self.broker.tick(self.now, self.wall)

    def end_turn(self) -> None:
        """Send all waiting data; a guest that then goes on begins another turn."""
        broker = self.broker
        broker.tick(self.now, self.wall)
        for _ in range(MAX_INPUT):
            if not broker.touched:
                break
            peers = broker.touched.copy()
            broker.touched.clear()
            for peer in peers:
                peer.connection.flush()
        assert not broker.touched, "a turn without an end"
        self._changes += broker.jobs.changes
        self._records += [record.number for record in broker.jobs.records]
        for done in (
            broker.jobs.changes,
            broker.jobs.records,
            broker.jobs.congested,
            broker.answers.deferring,
        ):
            done.clear()
        broker.losses.notices.clear()
        broker.hits.reached.clear()

    # -- the end

    def end(self) -> None:
        """Fail unless idle guests get an answer, and no data of guests is left."""
        for guest in list(self.guests.values()):
            self._ask(guest)
        self._outlast()
        for who in list(self.guests):
            self._leave(who)
        while self._changes:
            self._store(True)
        for job in list(self.broker.jobs.known.values()):
            assert job.background, f"nobody is left who wants {job.handle!r}"
            assert self.broker.cancel(job.handle)
        check_empty(self.broker)

    def _ask(self, guest: Guest) -> None:
        if guest.idle():
            guest.receive(FENCES[guest.kind])
            assert ANSWERS[guest.kind] in guest.sent, f"{guest.kind}: no answer"

    def _outlast(self) -> None:
        """Check that no HTTP request lasts for ever, except for its job."""
        for _ in range(4):
            self._wait(60.0)
        for guest in self.guests.values():
            if guest.kind == "http" and guest.protocol.deadline == inf:
                assert guest.ended or guest.protocol._is_busy(), "no end in sight"


def state(broker: Any) -> list[Any]:
    """Return the whole state of a broker."""
    jobs = [
        (it.handle, it.function.name, it.unique, it.workload, it.priority, it.state)
        + (it.background, it.when, it.retries, it.progress)
        + (len(it.clients or ()), it.reducer, it.stored, extra(it.extra))
        for it in broker.jobs.known.values()
    ]
    functions = [
        (it.name, it.workers, it.running, it.pending, it.limits, it.scheduled)
        + ([q.count for q in it.queues], list(it.twins), counted(it.stats))
        for it in broker.functions.known.values()
    ]
    dead = [(it.handle, extra(it.extra)) for it in broker.dead.known.values()]
    results = [
        (it.handle, it.name, it.state, it.data, it.durable)
        for it in broker.results.known.values()
    ]
    schedules = [
        (
            it.schedule.name,
            it.schedule.owner,
            it.next,
            it.last,
            it.paused,
            it.number,
            it.again,
        )
        for it in broker.schedules.known.values()
    ]
    others = {key: len(jobs) for key, jobs in broker.jobs.uniques._others.items()}
    return [
        jobs,
        functions,
        list(broker.jobs.uniques._first),
        others,
        dead,
        results,
        schedules,
        broker.memory.jobs,
        counted(broker.functions.gone),
    ]


def counted(stats: Any) -> list[Any]:
    """Return what was counted for a function, without times."""
    numbers = [getattr(stats, name) for name in COUNTERS]
    return [*numbers, stats.waits.count(), stats.runs.count()]


def extra(it: Any) -> tuple[Any, ...]:
    """Return what a job has beyond the standard, without times."""
    if it is None:
        return ()
    done = (it.attempts, it.awaits, it.moved, it.reason, it.error)
    return *done, bool(it.due), bool(it.expires), bool(it.died)


def check_empty(broker: Any) -> None:
    """Fail if a broker has any data left but names of functions, and ends of jobs."""
    for job in list(broker.dead.known.values()):
        broker.dead.forget(job)
    broker.results.keep_at_most(0)
    assert not broker.jobs.known
    assert not broker.peers
    assert not broker.memory.jobs
    assert not broker.jobs.uniques._first
    assert not broker.jobs.uniques._others
    assert not broker.jobs._followers
    places = broker.places
    for timers in (places.scheduled, places.deadlines, places.lives):
        assert not any(group and group.count for group in timers._groups)
    for name, function in list(broker.functions.known.items()):
        assert function.total() == 0, name
        known = [*function.twins, *function.sleepers]
        assert not known, name
        assert broker.functions.drop(name), name


Transcript = list[Any]


def play(build: Build, script: Script) -> Transcript:
    """Return the data that all guests got, step by step, and the broker's state."""
    site = Site(build, script)
    came: Transcript = [site.step(step) for step in script.steps]
    came.append((state(site.broker), site.broker.delay()))
    site.end()
    return came
