"""A database in memory that knows the servers of a cluster, and who owns what."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from gearman.queue import NOBODY, SPARE, Claim, Member, Register, Roll, Shard

LEASE = 10.0


@dataclass
class Database:
    """The rows that matter. `skew` is what its clock differs from true time."""

    time: float = 0.0
    skew: float = 0.0
    members: dict[int, Member] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=lambda: [Shard(NOBODY, 0, 0)] * 64)
    # When the leases are over, by the clock of the database; and numbers.
    ends: dict[int, float] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    epochs: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def clock(self) -> float:
        return self.time + self.skew

    def look(self) -> Roll:
        members = [
            member._replace(over=self.ends[id] < self.clock)
            # In one step, since others may join meanwhile.
            for id, member in list(self.members.items())
        ]
        return Roll(tuple(members), tuple(self.shards))

    def join(self, address: str, lease: float = LEASE) -> Claim:
        epoch = next(self.epochs)
        claim = Claim(1000 + epoch, epoch)
        self.members[claim.id] = Member(
            claim.id, address, epoch, False, self.time, 0, over=False
        )
        self.ends[claim.id] = self.clock + lease
        return claim

    def renew(self, id: int, next_number: int, lease: float = LEASE) -> bool:
        member = self.members.get(id)
        if member is None:
            return False
        self.members[id] = member._replace(renewals=member.renewals + 1)
        self.ends[id] = self.clock + lease
        self.numbers[id] = next_number + SPARE
        return True

    def bury(self, dead: Member) -> bool:
        member = self.members.get(dead.id)
        if member is None or member.renewals != dead.renewals:
            return False
        self.remove(dead.id, self.numbers.get(dead.id, SPARE))
        return True

    def remove(self, id: int, number: int) -> None:
        self._move(range(64), id, NOBODY, number, 0)
        self.members.pop(id, None)

    def take(self, id: int, shards: AbstractSet[int]) -> None:
        if id in self.members:
            self._move(shards, NOBODY, id, 0, 1)

    def give(self, id: int, shards: AbstractSet[int], taker: int, number: int) -> None:
        if id in self.members and taker in self.members:
            self._move(shards, id, taker, number, 1)

    def _move(self, shards: Any, giver: int, taker: int, number: int, by: int) -> None:
        for shard in shards:
            server, epoch, first = self.shards[shard]
            if server == giver:
                self.shards[shard] = Shard(taker, epoch + by, max(first, number))

    def drain(self, id: int) -> None:
        self.members[id] = self.members[id]._replace(draining=True)

    def owned(self, id: int) -> set[int]:
        return {n for n, shard in enumerate(self.shards) if shard.server == id}


@dataclass
class Memory(Register):
    """The register of one server; `calls` are the names of the methods called.

    While there is an `error`, each call raises it.
    """

    database: Database = field(default_factory=Database)
    lease: float = 60.0
    error: Exception | None = None
    calls: list[str] = field(default_factory=list)
    id: int = NOBODY

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.error is not None:
            raise self.error

    def look(self) -> Roll:
        self._call("look")
        return self.database.look()

    def join(self) -> Claim:
        self._call("join")
        claim = self.database.join("me:4730", self.lease)
        self.id = claim.id
        return claim

    def renew(self, next_number: int) -> bool:
        self._call("renew")
        return self.database.renew(self.id, next_number, self.lease)

    def bury(self, dead: Member) -> bool:
        self._call("bury")
        return self.database.bury(dead)

    def take(self, shards: AbstractSet[int]) -> None:
        self._call("take")
        self.database.take(self.id, shards)

    def give(self, shards: AbstractSet[int], taker: int, next_number: int) -> None:
        self._call("give")
        self.database.give(self.id, shards, taker, next_number)

    def drain(self) -> None:
        self._call("drain")
        self.database.drain(self.id)

    def leave(self, next_number: int) -> None:
        self._call("leave")
        self.database.remove(self.id, next_number)

    def close(self) -> None:
        self.calls.append("close")
