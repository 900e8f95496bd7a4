"""Which servers are learned from the answers of others, and when these are asked."""

import json
from typing import Any

import pytest

from gearman.client_core.discovery import Address, Answer, Change, Knowledge, Servers

A, B, C, D = (("a", 4730), ("b", 4730), ("c", 4730), ("d", 4730))


def row(address: object, link: str = "up", **others: object) -> dict[str, Any]:
    return {"kind": "server", "address": address, "link": link, **others}


def rows(own: Address | None, *others: Address) -> list[dict[str, Any]]:
    """Return the rows of a server's answer."""
    mine = [row("{}:{}".format(*own), "self")] if own else []
    return [{"kind": "cluster"}, *mine, *(row("{}:{}".format(*o)) for o in others)]


def told(own: Address | None, *others: Address) -> Servers | None:
    return Servers.of(rows(own, *others))


def text(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines) + b".\n"


def servers_in(data: bytes) -> Servers | None:
    whole, pieces = Answer(), Answer()
    whole.feed(data)
    for number in range(len(data)):
        assert not pieces.complete
        pieces.feed(data[number : number + 1])
    assert whole.complete
    assert pieces.complete
    assert whole.servers() == pieces.servers()
    return whole.servers()


def test_an_answer_tells_of_servers() -> None:
    assert servers_in(text(*rows(A, B))) == Servers(A, (A, B), frozenset({A, B}))
    assert servers_in(text(*rows(None, B))) == Servers(None, (B,), frozenset({B}))


def test_servers_that_drain_are_known_and_do_not_serve() -> None:
    found = servers_in(text(row("a:1", draining=True), row("b:1", draining=False)))
    assert found == Servers(None, (("b", 1),), frozenset({("a", 1), ("b", 1)}))


def test_an_address_may_be_ipv6() -> None:
    assert servers_in(text(row("[::1]:7"))) == Servers(
        None, (("::1", 7),), frozenset({("::1", 7)})
    )


@pytest.mark.parametrize("address", ["gearman-queue", "", None, 7, "unix:/g", "a b:1"])
def test_what_is_no_address_does_not_count(address: object) -> None:
    assert servers_in(text(row(address), *rows(A))) == told(A)
    assert servers_in(text(row(address))) is None


@pytest.mark.parametrize(
    "data", [b".\n", b"ERR unknown_command Unknown+server+command\r\n", b"\n", b"OK\n"]
)
def test_a_server_without_a_cluster_tells_of_none(data: bytes) -> None:
    assert servers_in(data) is None


@pytest.mark.parametrize("line", [b"{", b"{]", b'{"kind": \xff}'])
def test_what_is_no_json_tells_of_none(line: bytes) -> None:
    assert servers_in(line + b"\n.\n") is None


def test_an_incomplete_answer_tells_of_none() -> None:
    answer = Answer()
    assert answer.servers() is None
    answer.feed(text(*rows(A, B))[:-2])
    assert not answer.complete
    assert answer.servers() is None


def test_the_others_are_learned() -> None:
    knowledge = Knowledge()
    assert knowledge.told(A, told(A, B, C), [A]) == Change((B, C))
    assert knowledge.told(A, told(A, B, C), [A, B, C]) == Change()
    assert knowledge.told(B, told(B, A, C, D), [A, B, C]) == Change((D,))


def test_a_server_is_no_other_one_by_the_name_that_it_tells() -> None:
    knowledge = Knowledge()
    assert knowledge.told(("localhost", 1), told(A, B), [("localhost", 1)]).new == (B,)
    # It does not come back by the answer of another one.
    servers = [("localhost", 1), B]
    assert knowledge.told(B, told(B, A), servers) == Change()


def test_names_are_the_same_in_capitals() -> None:
    knowledge = Knowledge()
    assert not knowledge.told(("A", 4730), told(None, A, B), [("A", 4730), ("B", 4730)])


def test_a_given_server_under_another_name_is_dropped_when_it_is_asked() -> None:
    knowledge, other = Knowledge(), ("other", 1)
    assert knowledge.told(A, told(A, B), [A, other]).new == (B,)
    assert not knowledge.is_named(other)
    assert knowledge.told(other, told(B, A), [A, other, B]) == Change(
        (), frozenset({B})
    )
    knowledge.forget(B)
    assert knowledge.told(A, told(A, B), [A, other]) == Change()


def test_a_server_that_is_not_told_any_more_is_dropped() -> None:
    knowledge = Knowledge()
    knowledge.told(A, told(A, B, C), [A])
    change = knowledge.told(A, told(A, B), [A, B, C])
    assert change == Change((), frozenset({C}))
    # It may come back.
    knowledge.forget(C)
    assert knowledge.told(A, told(A, B, C), [A, B]).new == (C,)


def test_given_servers_are_never_dropped() -> None:
    knowledge = Knowledge()
    assert not knowledge.told(A, told(A), [A, B])


def test_those_whose_name_is_not_known_are_asked_first() -> None:
    knowledge = Knowledge()
    knowledge.told(A, told(A, B), [A, C])
    assert knowledge.to_ask([A, B, C]) == [C, A, B]
    assert [knowledge.is_named(each) for each in (A, B, C)] == [True, True, False]


def test_a_server_without_a_cluster_is_asked_again_after_it_was_lost() -> None:
    knowledge = Knowledge()
    assert not knowledge.told(A, None, [A, B])
    assert knowledge.to_ask([A, B]) == [B]
    knowledge.lost(A, 0.0)
    assert knowledge.to_ask([A, B]) == [A, B]


def test_servers_are_asked_once_a_minute() -> None:
    knowledge = Knowledge()
    assert knowledge.due < 0
    knowledge.asked(100.0)
    assert knowledge.due == 160.0


def test_servers_are_asked_again_soon_after_a_loss() -> None:
    knowledge = Knowledge()
    knowledge.asked(100.0)
    knowledge.lost(A, 100.2)
    assert knowledge.due == 101.0
    knowledge.lost(B, 100.9)
    assert knowledge.due == 101.0
    knowledge.asked(101.0)
    knowledge.lost(A, 130.0)
    assert knowledge.due == 130.0
