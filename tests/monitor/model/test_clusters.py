"""Clusters, as they follow from what their servers say."""

from dataclasses import replace
from typing import Any

import pytest

from gearman.monitor.model.clusters import Cluster, Link, Member, clusters
from gearman.monitor.model.fleet import Fleet
from gearman.monitor.model.views import ServerView
from tests.monitor.readings import reading

ADDRESSES = ("a:1", "b:1", "c:1")
SHARDS = {"1": "0-21", "2": "22-42", "3": "43-63"}


def row(number: str, me: str, **keys: Any) -> dict[str, Any]:
    """Return a server as the server `me` lists it."""
    link = {"link": "self" if number == me else "up"}
    times = {} if number == me else {"up": 60.0 + int(me), "lag": int(me) / 1000}
    return {
        "id": number,
        "address": f"in-{number}:1",
        "epoch": int(number),
        "joined": 100.0,
        "draining": False,
        "owned": 21,
        "shards": SHARDS.get(number, ""),
        **link,
        **times,
        **keys,
    }


def told(me: str, *rows: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Return what `show stats` of a server has about a cluster of three."""
    found = {"name": "fleet", "server": me, "lease": 10.0, "left": 9.0}
    servers = rows or tuple(row(number, me) for number in "123")
    return {**found, "shards": 64, "unowned": 0, "servers": [*servers], **keys}


def views(**clusters: object) -> list[ServerView]:
    """Return servers by their letters, with what each says of its cluster."""
    fleet = Fleet([f"{letter}:1" for letter in clusters], 0.0)
    for letter, cluster in clusters.items():
        fleet.take(f"{letter}:1", reading(cluster=cluster))
    return fleet.servers()


def one(**answers: object) -> Cluster:
    (found,) = clusters(views(**answers))
    return found


def member(found: Cluster, number: str) -> Member:
    (wanted,) = [each for each in found.members if each.id == number]
    return wanted


def link(found: Cluster, *numbers: str) -> Link:
    ends = {f"in-{number}:1" for number in numbers}
    (wanted,) = [each for each in found.links if {each.first, each.second} == ends]
    return wanted


def test_server_without_a_cluster_and_other_servers_are_in_none() -> None:
    assert clusters(views(a=None, b="fleet", c=[1])) == []
    assert clusters([]) == []


def test_servers_of_a_cluster_are_one_cluster_that_is_well() -> None:
    found = one(a=told("1"), b=told("2"), c=told("3"))
    assert (found.name, found.lease, found.shards, found.unowned) == (
        *("fleet", 10.0, 64, 0),
    )
    assert found.troubles == ()
    assert [each.server for each in found.members] == ["a:1", "b:1", "c:1"]
    assert member(found, "2") == Member(
        id="2",
        address="in-2:1",
        server="b:1",
        state="fresh",
        epoch=2,
        joined=100.0,
        draining=False,
        owned=21,
        shards="22-42",
        left=9.0,
    )


def test_link_has_the_shorter_time_and_the_larger_lag_of_both_ends() -> None:
    found = one(a=told("1"), b=told("2"), c=told("3"))
    assert link(found, "1", "3") == Link("in-1:1", "in-3:1", "up", 61.0, 0.003)
    assert len(found.links) == 3


def test_links_that_are_down_are_first_and_then_slow_ones() -> None:
    down = row("3", "2", link="down")
    slow = row("3", "1", lag=0.1)
    first = told("1", row("1", "1"), row("2", "1"), slow)
    found = one(a=first, b=told("2", row("1", "2"), row("2", "2"), down))
    ends = [(each.first, each.second) for each in found.links]
    assert ends == [
        ("in-2:1", "in-3:1"),
        ("in-1:1", "in-3:1"),
        ("in-1:1", "in-2:1"),
    ]


def test_link_that_no_end_tells_of_is_unknown() -> None:
    found = one(a=told("1"))
    assert link(found, "2", "3") == Link("in-2:1", "in-3:1", "unknown", None, None)
    assert link(found, "1", "2").state == "up"
    assert found.troubles == ()


def test_link_is_down_if_one_end_says_so() -> None:
    broken = row("1", "2", link="down", up=None, lag=None)
    found = one(a=told("1"), b=told("2", broken, row("2", "2"), row("3", "2")))
    assert link(found, "1", "2").state == "down"
    assert found.links[0].state == "down"
    assert found.troubles == ("no link between in-1:1 and in-2:1",)


def test_several_links_that_are_down_are_one_trouble() -> None:
    down = [row(number, "1", link="down") for number in "23"]
    found = one(a=told("1", row("1", "1"), *down))
    assert found.troubles == ("2 links are down",)


def test_shards_without_owners_are_the_first_trouble() -> None:
    found = one(a=told("1", unowned=3), b=told("2", left=0, unowned=3))
    assert found.troubles == (
        "3 of 64 shards have no owner: their jobs wait",
        "server in-2:1 is cut off from the database: it hands out no stored jobs",
    )


@pytest.mark.parametrize(
    ("left", "state"),
    [(5.0, "fresh"), (4.9, "in doubt"), (0.001, "in doubt"), (0, "cut off")],
)
def test_lease_that_was_not_renewed_for_half_of_its_time_is_in_doubt(
    left: float, state: str
) -> None:
    found = one(a=told("1"), b=told("2", left=left))
    assert member(found, "2").state == state
    assert bool(found.troubles) == (state != "fresh")


def test_trouble_says_for_how_long_a_lease_was_not_renewed() -> None:
    found = one(a=told("1"), b=told("2", left=3.0))
    assert found.troubles == ("server in-2:1 has not renewed its lease for 7 s",)


def test_freshest_lease_is_believed() -> None:
    old = told("1", row("1", "1", owned=64), left=2.0, unowned=9)
    found = one(a=old, b=told("2"))
    assert found.unowned == 0
    assert member(found, "1").owned == 21


def test_server_that_the_others_do_not_know_owns_nothing() -> None:
    others = [row(number, "2") for number in "23"]
    found = one(a=told("1", left=0), b=told("2", *others))
    gone = member(found, "1")
    assert (gone.state, gone.server, gone.owned, gone.shards) == ("gone", "a:1", 0, "")
    assert found.troubles == ("server in-1:1 is not known to the other servers",)
    assert len(found.links) == 1


def test_server_that_does_not_even_list_itself_is_shown_by_its_address_here() -> None:
    others = [row(number, "2") for number in "23"]
    found = one(a=told("9", row("2", "9"), left=0), b=told("2", *others))
    assert member(found, "9") == Member(
        *("9", "a:1", "a:1", "gone", 0, None, False, 0, "", 0.0)
    )


def test_server_that_is_none_of_the_monitors_is_not_read() -> None:
    found = one(a=told("1"))
    assert [each.state for each in found.members] == ["fresh", "not read", "not read"]
    assert (member(found, "2").server, member(found, "2").left) == ("", None)


def test_server_that_is_down_is_known_by_its_address_in_the_cluster() -> None:
    several = [replace(view) for view in views(a=told("1"), b=None)]
    down = replace(several[1], address="in-2:1", health="down")
    (found,) = clusters([several[0], down])
    assert (member(found, "2").state, member(found, "2").server) == ("down", "in-2:1")
    assert found.troubles == ("server in-2:1 does not answer",)
    up = replace(down, health="up")
    (found,) = clusters([several[0], up])
    assert member(found, "2").state == "not read"


def test_clusters_of_two_databases_with_one_name_are_two() -> None:
    other = told("7", row("7", "7"), row("8", "7"))
    found = clusters(views(a=told("1"), b=other, c=told("2")))
    assert [len(each.members) for each in found] == [2, 3]


def test_server_that_knows_both_makes_one_cluster_of_two() -> None:
    first = told("1", row("1", "1"))
    second = told("2", row("2", "2"))
    both = told("3", *(row(number, "3") for number in "123"))
    assert len(clusters(views(a=first, b=second))) == 2
    assert len(clusters(views(a=first, b=second, c=both))) == 1


def test_clusters_are_in_the_order_of_their_names() -> None:
    other = told("7", row("7", "7"), name="before")
    found = clusters(views(a=told("1"), b=other))
    assert [each.name for each in found] == ["before", "fleet"]


def test_takers_are_others_that_live_and_do_not_drain() -> None:
    found = one(a=told("1"), b=told("2", left=0))
    assert found.takers(member(found, "1")) == 1
    drains = [row("1", "1"), row("2", "1", draining=True)]
    found = one(a=told("1", *drains))
    assert member(found, "2").draining
    assert found.takers(member(found, "1")) == 0
    assert found.takers(member(found, "2")) == 1


def test_nonsense_counts_as_nothing_and_is_printable() -> None:
    nonsense = {
        "server": "9",
        "name": "\x1b[31m\ud800",
        "lease": "x",
        "left": -1,
        "shards": None,
        "unowned": 1 << 80,
        "servers": [7, {"id": "9", "address": ["x"], "owned": -3, "joined": "now"}],
    }
    found = one(a=nonsense)
    assert found.name == r"\x1b[31m\xed\xa0\x80"
    assert (found.lease, found.shards, found.unowned) == (0.0, 0, 0)
    assert found.members == (
        Member("9", "", "a:1", "cut off", 0, None, False, 0, "", 0.0),
    )
    assert one(a={"servers": "none"}).members[0].state == "gone"


def test_more_than_64_servers_are_left_out() -> None:
    several = [row(str(number), "1") for number in range(1, 100)]
    assert len(one(a=told("1", *several)).members) == 64
