"""Which other servers there are, and which of them owns what."""

from collections.abc import Sequence

from ...cluster.home import SHARD_BITS, SHARDS, home_of
from .remote import Remote


class Routes:
    """The other servers by their numbers, and the owner of each shard."""

    def __init__(self) -> None:
        self.remotes: dict[int, Remote] = {}
        self._owners: Sequence[int] = [0] * SHARDS
        # The owners to which there is a link; None for this server, and for others.
        self._homes: list[Remote | None] = [None] * SHARDS

    def own(self, owners: Sequence[int]) -> None:
        """Set the owner of each shard: the number of a server, 0 if there is none."""
        self._owners = owners
        self.look()

    def look(self) -> None:
        """Look again to which servers there are links."""
        self._homes = [self._linked(owner) for owner in self._owners]

    def _linked(self, server: int) -> Remote | None:
        remote = self.remotes.get(server)
        return None if remote is None or remote.peer is None else remote

    def home(self, unique: bytes, workload: bytes) -> Remote | None:
        """Return the server where a unique belongs; None if that is this one."""
        shard = home_of(unique, workload)
        return self._homes[shard] if shard >= 0 else None

    def owner_of(self, number: int) -> Remote | None:
        """Return the server that owns the job of a number; None if that is this one."""
        return self._homes[number & SHARD_BITS]

    def linked(self) -> list[Remote]:
        """Return the servers to which there are links."""
        return [each for each in self.remotes.values() if each.peer is not None]
