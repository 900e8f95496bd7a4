"""Which server of a cluster should own which shards: no I/O.

Every server comes to the same result. Each of N servers should own 64/N shards, and as
few as possible move: those with the highest numbers, so that shard 0 stays.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from ...queue import NOBODY, Member, Shard

# So many shards of a server move at the same time.
MOST: Final = 4


class Move(NamedTuple):
    """That a server should give a shard to another one."""

    shard: int
    giver: int
    taker: int


def targets(
    owners: Sequence[int],
    members: Mapping[int, Member],
    busy: AbstractSet[int] = frozenset(),
) -> list[int]:
    """Return who should own each shard that `owners` own now.

    A server that drains should own none, unless all do. A shard whose owner is not
    known is left to it: somebody will bury that. Those that are `busy` stay, if others
    can go.
    """
    active = [member.id for member in members.values() if not member.draining]
    if not active:
        return list(owners)
    counts = {id: sum(owner == id for owner in owners) for id in active}
    # Those that own most already may own one more than others.
    ordered = sorted(active, key=lambda id: (-counts[id], members[id].epoch))
    least, rest = divmod(len(owners), len(active))
    room = {id: least + (place < rest) for place, id in enumerate(ordered)}
    found = list(owners)
    homeless: list[int] = []
    for shard in sorted(range(len(owners)), key=lambda shard: shard not in busy):
        owner = owners[shard]
        if room.get(owner, 0) > 0:
            room[owner] -= 1
        elif owner == NOBODY or owner in members:
            homeless.append(shard)
    for shard in sorted(homeless):
        # The first one of those with most room.
        taker = max(reversed(ordered), key=lambda id: room[id])
        room[taker] -= 1
        found[shard] = taker
    return found


def free_for(
    me: int, shards: Sequence[Shard], members: Mapping[int, Member]
) -> set[int]:
    """Return the shards that nobody owns and that this server should take.

    The first server of a cluster takes all: only so what was stored before can be put
    in order.
    """
    owners = [shard.server for shard in shards]
    if not any(shard.epoch for shard in shards):
        return set(range(len(shards)))
    wanted = enumerate(targets(owners, members))
    return {shard for shard, to in wanted if to == me and owners[shard] == NOBODY}


def moves(
    owners: Sequence[int],
    members: Mapping[int, Member],
    busy: AbstractSet[int] = frozenset(),
) -> list[Move]:
    """Return which shards should move from one server to another."""
    wanted = enumerate(targets(owners, members, busy))
    return [
        Move(shard, owners[shard], to)
        for shard, to in wanted
        if owners[shard] not in (NOBODY, to)
    ]
