"""A relay at work: what it takes, sends, and does with the answers. No I/O."""

from collections.abc import Callable, Mapping
from enum import IntEnum
from math import inf
from typing import Final

from ...errors import ProtocolError
from ...text import shown
from ..broker import Broker, Job
from .conversation import Answer, Conversation, Kind
from .flight import Flight, Passing
from .model import Relay
from .packets import ECHO, GREETING, submission
from .pauses import Chance, Pauses, Route
from .worker import Worker

# Seconds without an answer after which a connection counts as lost, and seconds after
# which a server is asked whether it is still there.
SILENCE: Final = 30.0
IDLE: Final = 10.0

# With these codes a job would never be accepted.
FINAL: Final = frozenset({"ARGUMENT_TOO_LARGE", "INVALID_ARGUMENTS"})


class State(IntEnum):
    """Of the connection: there is none, the server is asked what it has, or it works.

    CLOSED -> ASKING (opened) -> READY (it has answered) -> CLOSED (lost); or lost
    before.
    """

    CLOSED, ASKING, READY = range(3)


class _Refusals:
    """A function whose jobs the other server refuses for now."""

    def __init__(self, chance: Chance) -> None:
        self.pauses = Pauses(chance)
        self.until = 0.0


class Lane:
    """Passes the jobs of a relay on, by one connection at a time.

    `me` is the name of this server. `wake` is called, while the broker carries out a
    verb, when `pump` should be called. `route` says which server to connect to. The
    broker's clock must be set before each call. `notices` has sentences for the log.
    """

    def __init__(
        self,
        broker: Broker,
        relay: Relay,
        me: bytes,
        wake: Callable[[], None],
        chance: Chance,
    ) -> None:
        self.relay = relay
        self.route = Route(relay.servers, chance)
        self.state = State.CLOSED
        self.notices: list[str] = []
        self.error = ""
        self._passed = self._refused = self._failures = 0
        self._broker = broker
        self._me = me
        self._chance = chance
        self._worker = Worker(broker, relay, me, wake)
        self._flight = Flight(relay.jobs, relay.size)
        self._conversation = Conversation()
        self._extensions = False
        self._refusals: dict[bytes, _Refusals] = {}
        self._out: list[bytes] = []
        # Since when the other server is silent, and whether it was asked for an echo.
        self._since = 0.0
        self._asked = False

    # -- the connection

    def opened(self) -> None:
        """Begin with a connection that was just made."""
        self.state = State.ASKING
        self._conversation = Conversation()
        self._since = self._broker.now
        self._asked = False
        self._out = [GREETING]
        self._flight.begin()

    def lost(self, reason: str) -> float:
        """Note that there is no connection, and why.

        Returns in how many seconds to try the next server.
        """
        self._failures += 1
        self.error = reason
        self._stop()
        if self._broker.jobs.shelving:
            # Jobs leave this server, which those in flight must not prevent.
            self._give_back()
        return self.route.failed()

    def _stop(self) -> None:
        self.state = State.CLOSED
        self._out = []
        self._worker.end()
        self._flight.lost()

    def receive(self, data: bytes) -> None:
        """Take what has come. Raises ProtocolError if the connection must be closed."""
        self._since = self._broker.now
        self._asked = False
        try:
            for answer in self._conversation.answers(data):
                self._take(answer)
        finally:
            self._worker.settle()

    def data_to_send(self) -> bytes:
        """Return what is to be sent, once."""
        data = b"".join(self._out)
        self._out = []
        return data

    def check(self, accepts: bool) -> bool:
        """Ask a silent server for an echo. Returns False if it is lost.

        Call this when `due`. `accepts` says that it has accepted data since then.
        """
        if accepts:
            self._since = self._broker.now
        silence = self._broker.now - self._since
        if self.state != State.CLOSED and silence >= self._patience():
            if self._expects():
                return False
            self._asked = True
            self._since = self._broker.now
            self._out.append(ECHO)
        return True

    def due(self) -> float:
        """Return when to call `check` and `pump`, on the broker's clock."""
        if self.state == State.CLOSED:
            return inf
        now = self._broker.now
        pauses = [r.until for r in self._refusals.values() if r.until > now]
        return min([self._since + self._patience(), *pauses])

    def _expects(self) -> bool:
        """Whether the other server has to say something."""
        waits = self.state == State.ASKING or self._asked
        return waits or self._flight.unanswered > 0

    def _patience(self) -> float:
        return SILENCE if self._expects() else IDLE

    # -- jobs

    def pump(self) -> None:
        """Take and send as many jobs as may be sent now."""
        if self.state != State.READY:
            return
        idle = not self._expects()
        for passing in self._flight.due(self._must_wait):
            if self._worker.has(passing.job):
                self._flight.sent(passing)
                self._send(passing)
        now = self._broker.now
        without = [name for name, each in self._refusals.items() if each.until > now]
        for taken in self._worker.take(self._flight.has_room, without):
            self._send(self._flight.add(taken))
        if idle and self._expects():
            self._since = now

    def _must_wait(self, job: Job) -> bool:
        refusals = self._refusals.get(job.function.name)
        return refusals is not None and refusals.until > self._broker.now

    def _send(self, passing: Passing) -> None:
        ttl = passing.expires - self._broker.wall if passing.expires else None
        job, relay = passing.job, self.relay
        self._out.append(submission(job, relay, self._me, ttl, self._extensions))

    def _take(self, answer: Answer) -> None:
        kind = answer.kind
        if kind in (Kind.EXTENDED, Kind.PLAIN):
            self.state = State.READY
            self._extensions = kind == Kind.EXTENDED
            self._worker.begin()
        elif kind == Kind.OTHER:
            self._works()
        elif not self._flight.unanswered:
            raise ProtocolError("it answers what it was not asked")
        elif kind == Kind.ACCEPTED:
            self._accepted(self._flight.answered())
        else:
            self._was_refused(self._flight.answered(), answer)

    def _works(self) -> None:
        self.error = ""
        self.route.works()

    def _accepted(self, passing: Passing) -> None:
        self._works()
        self._passed += 1
        self._refusals.pop(passing.job.function.name, None)
        if self._worker.has(passing.job):
            self._worker.accepted(passing.job)

    def _was_refused(self, passing: Passing, answer: Answer) -> None:
        job, reason = passing.job, f"{answer.code}: {answer.text}"
        if not self._worker.has(job):
            return
        if answer.code in FINAL:
            self._refused += 1
            self._tell(f"job {shown(job.handle)} is given up: {reason}")
            self._worker.refused(job, f"relay {self.relay.name}: {reason}")
            return
        self._flight.keep(passing)
        name = job.function.name
        refusals = self._refusals.get(name)
        if refusals is None:
            refusals = self._refusals[name] = _Refusals(self._chance)
            self._tell(f"jobs of {shown(name)} wait: {reason}")
        if refusals.until <= self._broker.now:
            self.error = reason
            self._failures += 1
            refusals.until = self._broker.now + refusals.pauses.next()

    def _tell(self, text: str) -> None:
        self.notices.append(f"relay {self.relay.name}: {text}")

    # -- the end

    def drain(self) -> None:
        """Pass on what this server cannot leave to its next run, and what is sent."""
        if self.state == State.CLOSED:
            self._give_back()

    def close(self) -> None:
        """End, and have all that was not accepted queued here again."""
        self._stop()
        self._give_back()
        self._worker.leave()

    def _give_back(self) -> None:
        for job in self._flight.clear():
            if self._worker.has(job):
                self._worker.give_back(job)
        self._worker.settle()

    def facts(self) -> Mapping[str, object]:
        """Return how it does, as an object for JSON."""
        host, port = self.route.server
        return {
            "name": self.relay.name,
            "connected": self.state == State.READY,
            "server": [host, port],
            "waiting": self._worker.queued(),
            "unanswered": len(self._flight),
            "passed_on": self._passed,
            "refused": self._refused,
            "failures": self._failures,
            "error": self.error or self._worker.refusal or None,
        }
