"""Servers of a cluster with a simulated clock, network and database."""

from collections.abc import Iterator
from random import Random

from gearman.queue import Roll
from gearman.server.cluster.balance import free_for
from gearman.server.cluster.lease import Claimant, Neighbours, State

from .memory import LEASE, Database

# The longest time that a request or an answer is under way, in seconds.
SLOW = 1.0


class Lost(Exception):
    """A request or its answer was lost."""


class Server:
    """A server that keeps its lease and takes what is free, as the keeper does."""

    def __init__(self, database: Database, random: Random) -> None:
        self.database = database
        self.random = random
        self.running = self.connected = True
        self.kill()

    def kill(self) -> None:
        """End the process; another one takes its place."""
        self.id = 0
        self.claimant = Claimant(LEASE)
        self.neighbours = Neighbours(LEASE)
        self.roll = Roll((), ())
        self.steps: Iterator[None] | None = None

    @property
    def serves(self) -> frozenset[int]:
        """The shards whose jobs it hands out now."""
        if not self.running or self.database.time >= self.claimant.until:
            return frozenset()
        owners = enumerate(self.roll.shards)
        return frozenset(n for n, shard in owners if shard.server == self.id)

    def tick(self) -> None:
        """Go on as far as possible without waiting."""
        if not self.running:
            return
        if self.claimant.state == State.LOST:
            self.claimant.gave_up(self.database.time)
            self.roll = Roll((), ())
        if self.steps is None:
            if self.claimant.delay(self.database.time) > 0:
                return
            self.steps = self._ask()
        if next(self.steps, self) is self:
            self.steps = None

    def _way(self) -> Iterator[None]:
        """Wait for as long as a message is under way."""
        arrives = self.database.time + self.random.random() ** 3 * SLOW
        while self.database.time < arrives:
            yield
        if not self.connected:
            raise Lost

    def _ask(self) -> Iterator[None]:
        try:
            yield from self._steps()
        except Lost:
            self.claimant.failed(self.database.time)

    def _steps(self) -> Iterator[None]:
        claimant, database = self.claimant, self.database
        sent = database.time
        if claimant.state == State.OUTSIDE:
            yield from self._way()
            claim = database.join("")
            yield from self._way()
            self.id = claim.id
            claimant.joined(sent)
        if claimant.renews(database.time):
            sent = database.time
            yield from self._way()
            renewed = database.renew(self.id, 0)
            yield from self._way()
            if not renewed:
                return claimant.refused()
            claimant.renewed(sent)
        yield from self._look()
        return None

    def _look(self) -> Iterator[None]:
        database = self.database
        yield from self._way()
        roll = database.look()
        yield from self._way()
        self.claimant.looked(database.time)
        members = {member.id: member for member in roll.members}
        if self.id not in members:
            return self.claimant.refused()
        others = [member for member in roll.members if member.id != self.id]
        for dead in self.neighbours.silent(database.time, others):
            yield from self._way()
            database.bury(dead)
            yield from self._way()
            roll = database.look()
        free = free_for(self.id, roll.shards, {m.id: m for m in roll.members})
        if free:
            yield from self._way()
            database.take(self.id, free)
            yield from self._way()
            roll = database.look()
        self.roll = roll
        return None
