"""The part of a queue plugin that says which server of a cluster owns which jobs.

Only plugins that can be shared have it: see `has_cluster` of `gearman.queue.Queue`.

Jobs are divided into shards, by their numbers. A server that has joined has a lease,
which it renews, and owns some shards. When its lease is over, another server buries it:
then its shards belong to nobody, and it can commit nothing more.
"""

from abc import ABC, abstractmethod
from collections.abc import Set as AbstractSet
from typing import NamedTuple

# How many shards there are: that of a job is its number modulo this.
SHARDS = 64

# The server of a shard that nobody owns.
NOBODY = 0


class Cluster(NamedTuple):
    """The cluster that a server belongs to.

    `name` is the same for all servers that share a store; `address` is where others
    find this one. A server owns its shards for `lease` seconds after it has joined or
    renewed its lease.
    """

    name: str
    address: str
    lease: float


class Claim(NamedTuple):
    """That a server has joined: its `id`, which no other claim has."""

    id: int
    epoch: int


class Member(NamedTuple):
    """A server of a cluster, as another one sees it.

    `epoch` is higher than that of each server that has joined before. A server that is
    `draining` wants to own no shard. `joined` is in seconds since the epoch.
    `renewals` changes with each renewal of its lease, and `over` says that this is over
    by the clock of the back end.
    """

    id: int
    address: str
    epoch: int
    draining: bool
    joined: float
    renewals: int
    over: bool


class Shard(NamedTuple):
    """Who owns a shard.

    `epoch` rises with each change of the owner. The owner gives new jobs numbers from
    `first_number` on: no former owner has used one of these. That is not less than the
    clock of the back end was, in microseconds since the epoch, when somebody got the
    shard.
    """

    server: int
    epoch: int
    first_number: int


class Roll(NamedTuple):
    """The servers of a cluster, and the shards in their order, at one moment."""

    members: tuple[Member, ...]
    shards: tuple[Shard, ...]


class Register(ABC):
    """What a back end knows of the servers of a cluster: who owns which shards.

    It has a connection of its own, since a commit may take long. Methods are called in
    one thread, and raise QueueError if the back end fails; then what was asked for may
    have been done. Each ends in less than half of the lease's time.
    """

    @abstractmethod
    def look(self) -> Roll:
        """Return who is there, and who owns what."""

    @abstractmethod
    def join(self) -> Claim:
        """Become a server of the cluster that owns no shard.

        An earlier claim of this server, if it is still there, is buried.
        """

    @abstractmethod
    def renew(self, next_number: int) -> bool:
        """Make the lease last for its whole time again.

        This server has given no job a number from `next_number` on, and will not give
        one that is more than SPARE higher before the next renewal. Returns False if
        this server was buried.
        """

    @abstractmethod
    def bury(self, dead: Member) -> bool:
        """Free the shards of a server whose lease is over, as `look` has shown it.

        Returns False, and changes nothing, if it has renewed the lease or is gone. A
        commit of it that is under way takes place before; later ones fail. If it has
        left work unfinished in the back end, such as a transaction, that is ended.
        """

    @abstractmethod
    def take(self, shards: AbstractSet[int]) -> None:
        """Own those of these shards that nobody owns, if this server was not buried."""

    @abstractmethod
    def give(self, shards: AbstractSet[int], taker: int, next_number: int) -> None:
        """Let another server own shards of this one, and from now on not this one.

        Nothing is changed if one of both was buried. This server has given no job of
        these shards a number from `next_number` on.
        """

    @abstractmethod
    def drain(self) -> None:
        """Let all know that this server wants to own no shard."""

    @abstractmethod
    def leave(self, next_number: int) -> None:
        """Free the shards of this server at once, and forget it."""

    @abstractmethod
    def close(self) -> None:
        """End the connection. Raises nothing, and may be called more than once."""


# How many numbers a server may use between two renewals of its lease.
SPARE = 2**36
