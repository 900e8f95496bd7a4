"""Storing background jobs: the connection between the broker and the store."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Protocol

from ...queue import Inbox, Queue
from ..broker import Broker, Job, Peer
from ..broker.limits import DOUBT
from ..protocols.stats import histogram
from .intake import Intake
from .moving import Moving
from .store import OUTAGE, Outcome, Store

# The text that clients get while the server has no shard of its cluster, whose numbers
# new jobs could get.
NO_SHARD = b"The server owns no jobs of its cluster: use another one"

# Seconds that the last commit may take when the server stops.
LAST_COMMIT = 10.0

# Seconds of a turn for rows of the inbox: what all connections may have of it together.
ALLOWANCE = 0.005

log = logging.getLogger("gearman.server")


class Producer(Protocol):
    """The back-pressure of a connection: the store can stop reading from it."""

    def held(self, blocker: "Durability") -> None: ...

    def released_by(self, blocker: "Durability") -> None: ...


class Durability:
    """Keeps the background jobs of a broker in a queue.

    With an `inbox`, its rows become jobs. Without the engine, `begin_turn` is called
    before the broker is told the outcomes of jobs, and `flush` after it has answered.
    `fenced` is called when another server of the cluster owns the jobs.
    """

    def __init__(
        self,
        queue: Queue,
        broker: Broker,
        begin_turn: Callable[[], None],
        flush: Callable[[], None],
        inbox: Inbox | None = None,
        fenced: Callable[[], None] | None = None,
    ) -> None:
        self._broker = broker
        self._doubtful = self._drained = False
        self._shards: frozenset[int] | None = None
        self._fenced = fenced
        self._begin_turn = begin_turn
        self._flush = flush
        self._store = Store(queue, self._wake, inbox)
        self._intake = Intake(broker) if inbox is not None else None
        self.moving = Moving(broker, self._store, self.settle)
        self._waiting: set[Producer] = set()
        self._closing = False
        self._ring: Callable[[], None] | None = None

    def facts(self) -> dict[str, object]:
        """Return what was stored so far, for `show stats`; times are in seconds."""
        store = self._store
        return {
            "outage": bool(store.outage),
            "waiting": store.waiting,
            "stored": store.stored,
            "removed": store.removed,
            "failures": store.failures,
            "commits": histogram(store.commits),
            "inbox": None if self._intake is None else asdict(store.rows.counts),
        }

    def start(self, loop: asyncio.AbstractEventLoop, engine: Any) -> None:
        self._loop = loop
        if engine is not None:
            engine.listen(self._tell_broker)
            self._ring = engine.ring
        self._store.start()

    async def close(self, producers: Iterable[Producer]) -> None:
        """Store and remove all jobs that wait for it, for up to LAST_COMMIT seconds.

        From now on, connections are not read from: a result that arrives now could
        not be stored, but its worker would believe that it was accepted.
        """
        self._closing = True
        for producer in producers:
            producer.held(self)
        self.settle()
        wait = self._loop.run_in_executor(None, self._store.close, LAST_COMMIT)
        if not await wait:
            log.error("finished jobs could not be removed: they will run once more")
        self._tell_broker_in_turn()

    def settle(self) -> None:
        """Pass the changes of a turn to the store; hold submitters while it is full."""
        broker = self._broker
        for peer in broker.answers.deferring:
            self._hold(peer)
        broker.answers.deferring.clear()
        for peer in broker.answers.caught_up:
            self._go_on(peer)
        broker.answers.caught_up.clear()
        changes, records = broker.jobs.changes, broker.jobs.records
        if changes or records:
            self._store.write(changes, records)
            if self._store.full:
                self._hold_submitters(changes)
            changes.clear()
            records.clear()

    def _hold_submitters(self, changes: Iterable[Job | int]) -> None:
        for change in changes:
            if isinstance(change, Job):
                for receipt in change.receipts or ():
                    self._hold(receipt.peer)

    def _hold(self, peer: Peer) -> None:
        if peer.connection is not None and not peer.connection.closing:
            producer: Producer = peer.connection.pressure
            self._waiting.add(producer)
            producer.held(self)

    def _go_on(self, peer: Peer) -> None:
        """Read again from a peer that has got its answers, maybe not from the store."""
        if peer.connection is not None and not self._closing:
            producer: Producer = peer.connection.pressure
            if producer in self._waiting:
                self._waiting.discard(producer)
                producer.released_by(self)

    def connected(self, producer: Producer) -> None:
        """Hold a new connection if the server is already stopping."""
        if self._closing:
            producer.held(self)

    def forget(self, producer: Producer) -> None:
        """Forget a held connection that is gone."""
        self._waiting.discard(producer)

    def drain(self) -> int:
        """Leave rows and stored jobs to the next run; return how many jobs are left."""
        self.take_no_rows()
        return self._broker.stored.shelve()

    def take_no_rows(self) -> None:
        """Leave the rows of the inbox to the next run, or to another server."""
        self._drained = self._store.rows.stopped = True

    def own(self, shards: frozenset[int]) -> None:
        """Give new jobs numbers of these shards only, and store none without any."""
        self._shards = shards
        self._broker.stored.own(shards)
        with self._store.deciding() as rows:
            rows.stopped = self._drained or 0 not in shards
        self._tell_outage()

    def _wake(self) -> None:
        if self._ring is not None:
            self._ring()
        # The last commit may end after the event loop.
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell_broker_in_turn)

    def _tell_broker_in_turn(self) -> None:
        """Pass the outcomes of jobs to the broker, in a turn of their own."""
        self._begin_turn()
        self._tell_broker()
        # Clients have waited for these answers: do not wait for the end of the turn.
        self._flush()

    def doubt(self, doubtful: bool) -> None:
        """Refuse jobs, or do not, since it is not sure that this server owns them."""
        self._doubtful = doubtful
        self._tell_outage()

    def _tell_outage(self) -> bytes:
        """Tell the broker why jobs can't be stored, and return that."""
        before = self._broker.outage
        # The broker's clock may have told it before the keeper of the lease did.
        doubtful = self._doubtful or self._broker.places.starts.doubtful
        outage = self._store.outage or (DOUBT if doubtful else b"")
        if not outage and self._shards is not None and not self._shards:
            outage = NO_SHARD
        self._broker.outage = outage
        watch = self._broker.places.watch
        if watch is not None and outage != before:
            watch.outage(outage)
        return outage

    def _tell_broker(self) -> None:
        """Tell the broker the outcomes of jobs, and release held connections."""
        outage = self._tell_outage()
        stored = self._broker.stored
        for outcome in self._store.outcomes():
            stored.store_again(outcome.lost)
            if outcome.reason:
                self._failed(outcome)
            else:
                stored.durable(outcome.jobs)
                stored.recorded(outcome.records)
                self._release(outcome.jobs)
        if self._intake is not None:
            self._take_in(self._intake)
        self.go_on()
        if not outage and not self._closing:
            stored.store_unsaved()
        if self._fenced is not None and self._store.fenced:
            self._fenced()
        if not self._store.full and not self._closing:
            waiting, self._waiting = self._waiting, set()
            for producer in waiting:
                producer.released_by(self)

    def go_on(self) -> None:
        """Load or leave some jobs of shards that come or go."""
        self.moving.go_on()
        if self.moving.busy:
            self._wake()

    def _failed(self, outcome: Outcome) -> None:
        """Tell the broker which jobs could not be stored."""
        jobs, reason, _, records = outcome
        stored, attached = self._broker.stored, self._store.rows.attached
        if reason != OUTAGE:
            self._release(jobs, reason.decode())
        kept = [job for job in jobs if job.number in attached]
        if kept:
            # Whether this commit has taken place is not known, so that their rows may
            # be gone: they must be stored.
            stored.postpone(kept, reason)
        stored.failed([job for job in jobs if job.number not in attached], reason)
        if reason == OUTAGE:
            stored.keep_unsaved(jobs, records)

    def _release(self, jobs: Iterable[Job], refusal: str = "") -> None:
        """Let rows leave that are still attached to jobs, whose outcome is known."""
        attached = self._store.rows.attached
        if not attached:
            return
        found = [job.number for job in jobs if job.number in attached]
        if found:
            with self._store.deciding() as rows:
                for number in found:
                    rows.detach(number, refusal)

    def _take_in(self, intake: Intake) -> None:
        """Give the broker some rows of the inbox that were read."""
        if not intake.busy:
            intake.begin(self._store.rows.take())
        if not intake.busy or self._closing:
            return
        until = time.monotonic() + ALLOWANCE
        self._decide(intake)
        while intake.busy and time.monotonic() < until:
            self._decide(intake)
        if intake.busy:
            self._wake()

    def _decide(self, intake: Intake) -> None:
        """Submit some rows, and tell the store what becomes of them."""
        decisions = intake.submit()
        with self._store.deciding() as rows:
            for number, row in decisions.jobs:
                rows.attach(number, row)
            for row, reason in decisions.finished.items():
                rows.finish((row,), reason)
            if not intake.busy:
                now = time.monotonic()
                rows.decided(now, intake.taken, intake.full, intake.held)
