"""The thread that joins a cluster, renews the lease, and takes and gives shards."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from math import inf
from typing import Final

from ...errors import QueueError
from ...queue import Claim, Cluster, Member, Register, Roll
from ..settings.levels import NOTICE
from .balance import free_for
from .lease import Claimant, Neighbours, State

# Seconds that the end of the lease may take when the server stops, and for which a
# server stands back that could not take up its jobs.
RELEASE: Final = 5.0
PAUSE: Final = 2.0

# By the id of a server, the shards that it gets; and the first number that is new.
Gift = tuple[Mapping[int, AbstractSet[int]], int]

log = logging.getLogger("gearman.server")


class Keeper:
    """Keeps a lease, and what a cluster knows of this server, in a thread of its own.

    So neither a slow commit nor a long replay lets the lease run out. `changed` is
    called in that thread whenever something may have changed. `until` is the time of
    the monotonic clock until which this server may hand out stored jobs; `claim` is the
    last one; and `roll` what the last look has shown, None until then. `next_number`
    returns the next number of a job.
    """

    def __init__(self, register: Register, cluster: Cluster) -> None:
        self.changed: Callable[[], None] = _ignore
        self.next_number: Callable[[], int] = _none
        self.claim: Claim | None = None
        self.roll: Roll | None = None
        self._register = register
        self._claimant = Claimant(cluster.lease)
        self._neighbours = Neighbours(cluster.lease)
        # Protects the claimant, which both threads change. The bell wakes the thread.
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._ending = self._leaving = False
        self._draining = self._drains = False
        self._gift: Gift | None = None
        # While a server is buried, and if the database has not answered: its address,
        # and how many shards it has.
        self._burying: dict[int, tuple[str, int]] = {}
        self._failing = ""
        self._thread = threading.Thread(
            target=self._run, name="gearman-lease", daemon=True
        )

    @property
    def state(self) -> State:
        return self._claimant.state

    @property
    def until(self) -> float:
        return self._claimant.until

    @property
    def calm(self) -> bool:
        """Whether no server has come or gone for a while."""
        return self._neighbours.calm(time.monotonic())

    @property
    def answers(self) -> bool:
        """Whether the database has answered when it was asked last."""
        return not self._failing

    @property
    def giving(self) -> bool:
        """Whether shards are being given away. Read it before `roll`."""
        return self._gift is not None

    def start(self) -> None:
        self._thread.start()

    def give(self, shards: Mapping[int, AbstractSet[int]], next_number: int) -> None:
        """Give shards to the servers of these ids; `giving` is True until it is known.

        They must be stored as they should be.
        """
        self._gift = shards, next_number
        self._hurry()

    def drain(self) -> None:
        """Let all servers know that this one wants to own no shard."""
        self._draining = True
        self._hurry()

    def _hurry(self) -> None:
        with self._lock:
            self._claimant.hurry()
        self._bell.set()

    def give_up(self, pause: float = 0.0) -> None:
        """Begin again as a new server: this one has no jobs any more.

        With a `pause` in seconds, others have the chance to take its shards before.
        """
        with self._lock:
            if self.state != State.OUTSIDE:
                self._leaving = self.state != State.LOST
                self._claimant.gave_up(time.monotonic(), pause)
            self._gift = self.roll = None
        self._bell.set()

    def close(self) -> None:
        """Leave the cluster, and end the thread. The jobs must be given up before."""
        self._ending = True
        self._bell.set()
        self._thread.join(RELEASE)

    # -- in the thread

    def _run(self) -> None:
        while not self._ending:
            with self._lock:
                delay = self._claimant.delay(time.monotonic())
            if self._leaving:
                self._leave()
            elif delay <= 0:
                self._ask()
                self.changed()
            elif self._bell.wait(None if delay == inf else delay):
                self._bell.clear()
        self._leave()
        self._register.close()

    def _ask(self) -> None:
        try:
            if self.state == State.OUTSIDE:
                self._join()
            with self._lock:
                renews = self._claimant.renews(time.monotonic())
            if renews:
                self._renew()
            if self.state in (State.MEMBER, State.IN_DOUBT):
                self._look_around()
        except QueueError as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("the queue plugin has a bug")
            self._fail(f"{type(error).__name__}: {error}")

    def _join(self) -> None:
        sent = time.monotonic()
        claim = self._register.join()
        with self._lock:
            self._claimant.joined(sent)
        self._works()
        self.claim = claim
        self._drains = False
        log.log(NOTICE, "this server has joined the cluster (epoch %d)", claim.epoch)

    def _renew(self) -> None:
        sent = time.monotonic()
        renewed = self._register.renew(self.next_number())
        with self._lock:
            # It may have given up the jobs meanwhile.
            if self.state == State.OUTSIDE:
                return
            doubt = self.state == State.IN_DOUBT
            if renewed:
                self._claimant.renewed(sent)
        self._works()
        if not renewed:
            self._lose()
        elif doubt:
            log.log(NOTICE, "the lease is renewed: stored jobs are handed out again")

    def _lose(self) -> None:
        with self._lock:
            if self.state != State.OUTSIDE:
                self._claimant.refused()
        log.error("another server has taken over the shards of this one")

    def _look_around(self) -> None:
        """Look at the others, bury the dead ones, and give and take what is due."""
        gift, claim = self._gift, self.claim
        assert claim is not None  # noqa: S101
        if self._draining and not self._drains:
            self._register.drain()
            self._drains = True
        for taker, shards in gift[0].items() if gift else ():
            self._register.give(shards, taker, gift[1] if gift else 0)
        roll = self._register.look()
        now = time.monotonic()
        with self._lock:
            self._claimant.looked(now)
        self._works()
        if all(member.id != claim.id for member in roll.members):
            return self._lose()
        for gone in self._burying.keys() - {member.id for member in roll.members}:
            _tell_buried(*self._burying[gone])
        self._burying.clear()
        others = [member for member in roll.members if member.id != claim.id]
        silent = self._neighbours.silent(now, others)
        buried = [self._bury(member, roll) for member in silent]
        if any(buried):
            roll = self._register.look()
        free = free_for(claim.id, roll.shards, {each.id: each for each in roll.members})
        if free:
            self._register.take(free)
            roll = self._register.look()
        with self._lock:
            if self.state != State.OUTSIDE:
                self.roll = roll
                if self._gift is gift:
                    self._gift = None
        return None

    def _bury(self, dead: Member, roll: Roll) -> bool:
        count = sum(shard.server == dead.id for shard in roll.shards)
        self._burying[dead.id] = dead.address, count
        done = self._register.bury(dead)
        del self._burying[dead.id]
        if done:
            _tell_buried(dead.address, count)
        return done

    def _fail(self, reason: str) -> None:
        with self._lock:
            before = self.state
            self._claimant.failed(time.monotonic())
            doubt = self.state != before
        if reason != self._failing:
            log.warning("the lease of the cluster cannot be asked for: %s", reason)
        self._failing = reason
        if doubt:
            log.error("the lease is over: stored jobs are held until it is renewed")

    def _works(self) -> None:
        if self._failing:
            log.log(NOTICE, "the lease of the cluster can be asked for again")
        self._failing = ""

    def _leave(self) -> None:
        self._leaving = False
        try:
            self._register.leave(self.next_number())
        except QueueError as error:
            log.warning("the cluster could not be left: %s", error)


def _tell_buried(address: str, shards: int) -> None:
    text = "%s has not renewed its lease: its %d shards are free"
    log.warning(text, address, shards)


def _ignore() -> None:
    """Do nothing: nobody wants to know."""


def _none() -> int:
    """Return the lowest number: there are no jobs yet."""
    return 0
