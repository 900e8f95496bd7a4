"""What one server says of its cluster: the object `cluster` of `show stats`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .readings import as_text, count, seconds
from .views import ServerView

# Servers of a cluster that are shown; more than there are shards are of no use.
MOST_MEMBERS: Final = 64


@dataclass(frozen=True, slots=True)
class Seen:
    """A server of the cluster, as another one sees it, or itself.

    `is_linked` says whether the link to it is up: for `up` seconds, with a ping that
    took `lag` seconds.
    """

    id: str
    address: str
    epoch: int
    joined: float | None
    draining: bool
    owned: int
    shards: str
    is_linked: bool
    up: float | None
    lag: float | None


@dataclass(frozen=True, slots=True)
class Membership:
    """What a server says: who it is, its lease, and whom it sees, by their ids."""

    view: ServerView
    id: str
    name: str
    lease: float
    left: float
    shards: int
    unowned: int
    seen: Mapping[str, Seen]


def membership(view: ServerView) -> Membership | None:
    """Return what a server says of its cluster, None if it is in none."""
    found = view.facts.get("cluster")
    if not isinstance(found, Mapping):
        return None
    listed = found.get("servers")
    rows = listed[:MOST_MEMBERS] if isinstance(listed, list) else []
    several = [_seen(row) for row in rows if isinstance(row, Mapping)]
    return Membership(
        view,
        id=as_text(found.get("server")),
        name=as_text(found.get("name")),
        lease=seconds(found.get("lease")) or 0.0,
        left=seconds(found.get("left")) or 0.0,
        shards=count(found.get("shards")),
        unowned=count(found.get("unowned")),
        seen={each.id: each for each in several},
    )


def _seen(row: Mapping[str, Any]) -> Seen:
    return Seen(
        id=as_text(row.get("id")),
        address=as_text(row.get("address")),
        epoch=count(row.get("epoch")),
        joined=seconds(row.get("joined")),
        draining=row.get("draining") is True,
        owned=count(row.get("owned")),
        shards=as_text(row.get("shards")),
        is_linked=row.get("link") == "up",
        up=seconds(row.get("up")),
        lag=seconds(row.get("lag")),
    )
