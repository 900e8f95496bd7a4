"""Clusters: what their servers say of shards, leases and links, put together.

Of owners and servers, the one with the freshest lease is believed, since the database
has just told it. A link is down if one of its ends says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from ..text import duration
from .membership import Membership, Seen, membership
from .views import ServerView

# What is known of a member: its lease is fresh, or was not renewed for half of its time
# (in doubt), or is over (cut off); the others know no such server (any more); it does
# not answer the monitor; it is none of the monitor's servers.
FRESH: Final = "fresh"
DOUBT: Final = "in doubt"
CUT_OFF: Final = "cut off"
GONE: Final = "gone"
DOWN: Final = "down"
UNREAD: Final = "not read"
STATES: Final = (FRESH, DOUBT, CUT_OFF, GONE, DOWN, UNREAD)

# States of links; it is unknown if the monitor reads no end of it.
LINK_UP: Final = "up"
LINK_DOWN: Final = "down"
LINK_UNKNOWN: Final = "unknown"
LINKS: Final = (LINK_DOWN, LINK_UP, LINK_UNKNOWN)
# Seconds of a lag from which on a link is slow.
SLOW: Final = 0.1


@dataclass(frozen=True, slots=True)
class Member:
    """A server of a cluster.

    `address` is where the others find it; `server` the address by which this monitor
    reads it, empty if it does not. `shards` are those that it owns, such as 0-20,33.
    `left` is for how many seconds it may go on without the database, None if unknown.
    """

    id: str
    address: str
    server: str
    state: str
    epoch: int
    joined: float | None
    draining: bool
    owned: int
    shards: str
    left: float | None


@dataclass(frozen=True, slots=True)
class Link:
    """The link of two members, by their addresses in the cluster.

    `up` is for how many seconds it has been up, `lag` how many a ping takes.
    """

    first: str
    second: str
    state: str
    up: float | None = None
    lag: float | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Servers that share the jobs of a database; `lease` is in seconds.

    `unowned` shards have no owner. `troubles` are sentences; none if all is well. Links
    that are down are first, then slow ones.
    """

    name: str
    lease: float
    shards: int
    unowned: int
    members: tuple[Member, ...]
    links: tuple[Link, ...]
    troubles: tuple[str, ...] = ()

    def takers(self, member: Member) -> int:
        """Return how many other servers can take the shards of a member."""
        return sum(
            not other.draining and other.state in (FRESH, UNREAD)
            for other in self.members
            if other.id != member.id
        )


def clusters(views: Sequence[ServerView]) -> list[Cluster]:
    """Return the clusters that some servers are in, in the order of their names."""
    groups: list[list[Membership]] = []
    for answer in filter(None, map(membership, views)):
        same = [group for group in groups if any(_meet(answer, it) for it in group)]
        groups = [group for group in groups if group not in same]
        groups.append([*(each for group in same for each in group), answer])
    found = (_cluster(group, views) for group in groups)
    return sorted(found, key=lambda cluster: cluster.name)


def _meet(one: Membership, other: Membership) -> bool:
    """Whether two servers are in the same cluster.

    Clusters of two databases may have the same name, but have no server in common.
    """
    return one.name == other.name and not one.seen.keys().isdisjoint(other.seen)


def _cluster(answers: Sequence[Membership], views: Sequence[ServerView]) -> Cluster:
    best = max(answers, key=lambda answer: answer.left)
    by_id = {answer.id: answer for answer in answers}
    known = sorted(best.seen.values(), key=lambda seen: (seen.address, seen.id))
    links = [_link(one, other, by_id) for one, other in combinations(known, 2)]
    members = [_member(seen, by_id.get(seen.id), views) for seen in known]
    members += (
        _gone(answer) for answer in by_id.values() if answer.id not in best.seen
    )
    found = Cluster(
        best.name,
        best.lease,
        best.shards,
        best.unowned,
        tuple(members),
        tuple(sorted(links, key=_order)),
    )
    return replace(found, troubles=_troubles(found))


def _member(
    seen: Seen, answer: Membership | None, views: Sequence[ServerView]
) -> Member:
    """Return a server that the others know, with what it says itself if it is read."""
    if answer is not None:
        state = _lease_state(answer)
        return _as_member(seen, answer.view.address, state, answer.left)
    # Its address may be the same for the monitor as for the other servers.
    if any(view.address == seen.address and view.health == "down" for view in views):
        return _as_member(seen, seen.address, DOWN, None)
    return _as_member(seen, "", UNREAD, None)


def _as_member(seen: Seen, server: str, state: str, left: float | None) -> Member:
    return Member(
        id=seen.id,
        address=seen.address,
        server=server,
        state=state,
        epoch=seen.epoch,
        joined=seen.joined,
        draining=seen.draining,
        owned=seen.owned,
        shards=seen.shards,
        left=left,
    )


def _lease_state(answer: Membership) -> str:
    if not answer.left:
        return CUT_OFF
    return FRESH if answer.left >= answer.lease / 2 else DOUBT


def _gone(answer: Membership) -> Member:
    """Return a server that the others do not know: it owns nothing."""
    itself = answer.seen.get(answer.id)
    return Member(
        id=answer.id,
        address=itself.address if itself else answer.view.address,
        server=answer.view.address,
        state=GONE,
        epoch=itself.epoch if itself else 0,
        joined=itself.joined if itself else None,
        draining=False,
        owned=0,
        shards="",
        left=answer.left,
    )


def _order(link: Link) -> tuple[int, bool]:
    # Not by the lag itself, which is another one each time.
    return LINKS.index(link.state), (link.lag or 0.0) < SLOW


def _link(one: Seen, other: Seen, answers: Mapping[str, Membership]) -> Link:
    """Return a link by what its ends say, as far as they are read."""
    ends = []
    for here, there in ((one, other), (other, one)):
        answer = answers.get(here.id)
        if answer is not None and there.id in answer.seen:
            ends.append(answer.seen[there.id])
    if not ends:
        return Link(one.address, other.address, LINK_UNKNOWN)
    if not all(end.is_linked for end in ends):
        return Link(one.address, other.address, LINK_DOWN)
    lags = [end.lag for end in ends if end.lag is not None]
    times = [end.up for end in ends if end.up is not None]
    return Link(
        one.address,
        other.address,
        LINK_UP,
        min(times, default=None),
        max(lags, default=None),
    )


def _troubles(cluster: Cluster) -> tuple[str, ...]:
    """Return what somebody should look at, the worst first."""
    found = []
    if cluster.unowned:
        found.append(
            f"{cluster.unowned} of {cluster.shards} shards have no owner: their jobs"
            " wait"
        )
    for state, text in _MEMBER_TROUBLES:
        for member in cluster.members:
            if member.state == state:
                left = duration(cluster.lease - (member.left or 0.0))
                found.append(f"server {member.address} {text.format(left)}")
    down = [link for link in cluster.links if link.state == LINK_DOWN]
    if len(down) > 1:
        found.append(f"{len(down)} links are down")
    elif down:
        found.append(f"no link between {down[0].first} and {down[0].second}")
    return (*found,)


_MEMBER_TROUBLES: Final = (
    (CUT_OFF, "is cut off from the database: it hands out no stored jobs"),
    (DOWN, "does not answer"),
    (GONE, "is not known to the other servers"),
    (DOUBT, "has not renewed its lease for {}"),
)
