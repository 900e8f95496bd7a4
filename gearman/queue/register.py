"""The part of a queue plugin that says which server of a cluster owns the jobs.

Only plugins that can be shared have it: see `has_cluster` of `gearman.queue.Queue`.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple


class Cluster(NamedTuple):
    """The cluster that a server belongs to.

    `name` is the same for all servers that share a store; `address` is where others
    find this one. A server owns the jobs for `lease` seconds after it has claimed or
    renewed that.
    """

    name: str
    address: str
    lease: float


class Holder(NamedTuple):
    """The server that owns the jobs of a store, as another one sees it.

    `id` is that of its claim, and `renewals` changes with each renewal. `over` says
    that the lease is over by the clock of the back end, or that the server that looks
    has it itself, after a claim whose outcome it does not know.
    """

    id: int
    address: str
    renewals: int
    over: bool


class Claim(NamedTuple):
    """That a server owns the jobs of a store.

    `id` is a number that no other claim has, and `epoch` is higher than that of each
    earlier owner. New jobs get numbers from `first_number` on: the clock of the back
    end in microseconds since the epoch, so that servers whose clocks differ do not use
    a number again.
    """

    id: int
    epoch: int
    first_number: int


class Register(ABC):
    """What a back end knows of the servers of a cluster: who owns the jobs.

    It has a connection of its own, since a commit may take long. Methods are called in
    one thread, and raise QueueError if the back end fails; then what was asked for may
    have been done. Each ends in less than half of the lease's time.
    """

    @abstractmethod
    def look(self) -> Holder | None:
        """Return who owns the jobs, None if nobody has ever done so."""

    @abstractmethod
    def claim(self, seen: Holder | None) -> Claim | None:
        """Make this server the owner instead of the one that `look` has returned.

        Returns None, and changes nothing, if the lease was renewed or claimed since
        then. A commit of the former owner that is under way takes place before; later
        ones fail. If the former owner has left work unfinished in the back end, such as
        a transaction, that is ended.
        """

    @abstractmethod
    def renew(self) -> bool:
        """Make the lease last for its whole time again.

        Returns False if this server is not the owner any more.
        """

    @abstractmethod
    def release(self) -> None:
        """Let another server claim the lease at once, if this one has it."""

    @abstractmethod
    def close(self) -> None:
        """End the connection. Raises nothing, and may be called more than once."""
