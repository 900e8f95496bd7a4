"""Relays, as they follow from what servers say."""

from gearman.monitor.model.fleet import Fleet
from gearman.monitor.model.relays import RelayView, relays
from tests.monitor.readings import reading

RELAY = {
    "name": "central",
    "connected": True,
    "server": ["gear1", 4730],
    "waiting": 1,
    "unanswered": 2,
    "passed_on": 3,
    "refused": 4,
    "failures": 5,
    "error": None,
}


def of(**relays_of: object) -> list[RelayView]:
    """Return the relays of servers, given by their letters."""
    fleet = Fleet([f"{letter}:1" for letter in relays_of], 0.0)
    for letter, found in relays_of.items():
        fleet.take(f"{letter}:1", reading(relays=found))
    return relays(fleet.servers())


def test_relay_is_shown_with_its_server() -> None:
    assert of(a=[RELAY]) == [
        RelayView("a:1", "central", "gear1:4730", True, 1, 2, 3, 4, 5, "")
    ]


def test_relays_without_a_connection_are_first() -> None:
    down = {**RELAY, "name": "down", "connected": False, "error": "refused"}
    assert [(each.name, each.error) for each in of(a=[RELAY, down], b=[down])] == [
        *[("down", "refused")] * 2,
        ("central", ""),
    ]


def test_addresses_of_ipv6_and_of_sockets_are_readable() -> None:
    for server, text in ((["::1", 1], "[::1]:1"), (["unix:/s", 0], "unix:/s")):
        assert of(a=[{**RELAY, "server": server}])[0].target == text


def test_server_without_relays_has_none() -> None:
    assert of(a=[], b=None, c="x", d=[7]) == []


def test_nonsense_counts_as_nothing() -> None:
    nonsense = {"name": 1, "connected": 1, "server": ["a"], "waiting": "many"}
    assert of(a=[nonsense]) == [RelayView("a:1", "", "", False, 0, 0, 0, 0, 0, "")]
