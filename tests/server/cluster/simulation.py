"""A simulated database with one lease, and servers that want it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random

from gearman.queue import Holder
from gearman.server.cluster.lease import Claimant, State

LEASE = 10.0

# The longest time that a request or an answer is under way, in seconds.
SLOW = 1.0


@dataclass
class Database:
    """The rows that matter. `skew` is what its clock differs from true time."""

    time: float = 0.0
    skew: float = 0.0
    owner: int = 0
    epoch: int = 0
    renewals: int = 0
    expires: float = 0.0
    ids: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def clock(self) -> float:
        return self.time + self.skew

    def look(self, me: int) -> Holder | None:
        if not self.owner:
            return None
        over = self.expires < self.clock or self.owner == me
        return Holder(self.owner, "", self.renewals, over)

    def claim(self, me: int, seen: Holder | None) -> bool:
        if (seen.id if seen else 0) != self.owner:
            return False
        if seen is not None and seen.renewals != self.renewals:
            return False
        self.owner = me
        self.epoch += 1
        self.renewals = 0
        self.expires = self.clock + LEASE
        return True

    def renew(self, me: int) -> bool:
        if self.owner != me:
            return False
        self.renewals += 1
        self.expires = self.clock + LEASE
        return True

    def release(self, me: int) -> None:
        if self.owner == me:
            self.expires = float("-inf")


@dataclass
class Server:
    """A server of the cluster, whose requests take time, and may get lost.

    `connected` is False if it cannot reach the database, `running` if it is stopped.
    """

    database: Database
    random: Random
    id: int = field(init=False)
    claimant: Claimant = field(default_factory=lambda: Claimant(LEASE))
    connected: bool = True
    running: bool = True
    steps: Iterator[None] | None = None

    def __post_init__(self) -> None:
        self.id = next(self.database.ids)

    @property
    def serves(self) -> bool:
        """Whether it hands out stored jobs now."""
        return self.running and self.database.time < self.claimant.until

    def tick(self) -> None:
        """Go on as far as possible without waiting."""
        if not self.running:
            return
        if self.claimant.state == State.LOST:
            self.claimant.gave_up(self.database.time)
        if self.steps is None:
            if self.claimant.delay(self.database.time) > 0:
                return
            self.steps = self._ask()
        if next(self.steps, self) is self:
            self.steps = None

    def kill(self) -> None:
        """End the process; another one takes its place."""
        self.id = next(self.database.ids)
        self.claimant = Claimant(LEASE)
        self.steps = None
        self.running = True

    def _way(self) -> Iterator[None]:
        """Wait for as long as a message is under way."""
        arrives = self.database.time + self.random.random() ** 3 * SLOW
        while self.database.time < arrives:
            yield

    def _ask(self) -> Iterator[None]:
        claimant, database = self.claimant, self.database
        sent = database.time
        renew = claimant.state != State.STANDING_BY
        yield from self._way()
        lost = not self.connected
        answer: object = None
        if not lost:
            answer = database.renew(self.id) if renew else database.look(self.id)
        yield from self._way()
        if lost or not self.connected:
            claimant.failed(database.time)
        elif not renew:
            assert answer is None or isinstance(answer, Holder)
            if claimant.may_claim(database.time, answer):
                yield from self._claim(answer)
        elif answer:
            claimant.renewed(sent)
        else:
            claimant.refused()

    def _claim(self, seen: Holder | None) -> Iterator[None]:
        claimant, database = self.claimant, self.database
        sent = database.time
        yield from self._way()
        lost = not self.connected
        claimed = not lost and database.claim(self.id, seen)
        yield from self._way()
        if lost or not self.connected:
            claimant.failed(database.time)
        elif claimed:
            claimant.claimed(sent)
