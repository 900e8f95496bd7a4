"""What a server knows of its cluster, for `show cluster` and `show stats`."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from math import inf
from typing import Protocol

from ...cluster.home import SHARDS
from ...cluster.links import Identity
from ...protocols.links.link import Link


class Member(Protocol):
    """A server of the cluster, as far as it is shown."""

    @property
    def address(self) -> str: ...

    @property
    def epoch(self) -> int: ...

    @property
    def draining(self) -> bool: ...

    @property
    def joined(self) -> float: ...


class Shards(Protocol):
    """The servers of the cluster, and their shards."""

    def owners(self) -> list[int]:
        """Return the id of the owner of each shard, 0 if nobody owns it."""

    def members(self) -> Mapping[int, Member]:
        """Return the servers by their ids."""


def facts(
    me: Identity,
    lease: float,
    left: float,
    shards: Shards,
    links: Mapping[int, tuple[Link, float]],
    now: float,
) -> dict[str, object]:
    """Return what is known of a cluster; times are in seconds.

    `left` is how long this server may hand out stored jobs without asking the store.
    """
    owners = shards.owners()
    return {
        "name": me.cluster,
        "server": str(me.id),
        "lease": lease,
        "left": round(max(left, 0.0), 3),
        "shards": SHARDS,
        "unowned": owners.count(0),
        "servers": [
            {
                "id": str(server),
                "address": member.address,
                "epoch": member.epoch,
                "joined": round(member.joined, 3),
                "draining": member.draining,
                "owned": owners.count(server),
                "shards": ranges(_of(server, owners)),
                **_link(server, me, links.get(server), now),
            }
            for server, member in sorted(shards.members().items())
        ],
    }


def _of(server: int, owners: list[int]) -> Iterator[int]:
    return (shard for shard, owner in enumerate(owners) if owner == server)


def _link(
    server: int, me: Identity, link: tuple[Link, float] | None, now: float
) -> dict[str, object]:
    """Return the state of the link, for how long it has been up, and its lag."""
    if server == me.id:
        return {"link": "self", "up": None, "lag": None}
    if link is None:
        return {"link": "down", "up": None, "lag": None}
    lag = link[0].course.lag
    return {
        "link": "up",
        "up": round(now - link[1], 3),
        "lag": None if lag == inf else round(lag, 6),
    }


def ranges(numbers: Iterable[int]) -> str:
    """Return rising numbers as text, such as 0-20,33."""
    parts = []
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        parts.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ",".join(parts)
