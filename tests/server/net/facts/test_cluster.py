"""What is told of a cluster: `show cluster`, `show stats`, metrics."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from gearman.server.cluster.links import Course, Identity
from gearman.server.net.facts.cluster import facts, ranges
from gearman.server.net.facts.process import Facts
from gearman.server.protocols.admin import Admin
from gearman.server.protocols.admin import Identity as Who
from gearman.server.protocols.metrics.exposition import Exposition

ME = Identity("fleet", 5, 9, "here:1")


def member(address: str, epoch: int, draining: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        address=address, epoch=epoch, draining=draining, joined=100.12345
    )


class Shards:
    """Four servers, of which one has just joined, and one drains."""

    def owners(self) -> list[int]:
        return [5] * 30 + [7] * 30 + [5, 0, 0, 5]

    def members(self) -> dict[int, Any]:
        return {
            5: member("here:1", 9),
            7: member("b:1", 3),
            4: member("c:1", 2, draining=True),
            9: member("d:1", 4),
        }


def link(lag: float | None) -> Any:
    course = Course(ME, b"0" * 32)
    if lag is not None:
        course.lag = lag
    return SimpleNamespace(course=course)


@pytest.fixture
def found() -> dict[str, object]:
    links = {7: (link(0.0003), 40.0), 4: (link(None), 41.5)}
    return facts(ME, 10.0, 7.5004, Shards(), links, 42.0)


def test_servers_are_listed_with_their_shards_and_links(found):
    servers = found.pop("servers")
    assert found == {
        "name": "fleet",
        "server": "5",
        "lease": 10.0,
        "left": 7.5,
        "shards": 64,
        "unowned": 2,
    }
    assert [it["id"] for it in servers] == ["4", "5", "7", "9"]
    assert servers[1] == {
        "id": "5",
        "address": "here:1",
        "epoch": 9,
        "joined": 100.123,
        "draining": False,
        "owned": 32,
        "shards": "0-29,60,63",
        "link": "self",
        "up": None,
        "lag": None,
    }
    links = [(it["link"], it["up"], it["lag"]) for it in servers]
    assert links[0] == ("up", 0.5, None)
    assert links[2:] == [("up", 2.0, 0.0003), ("down", None, None)]
    assert [it["draining"] for it in servers] == [True, False, False, False]


def test_a_lease_that_is_over_has_nothing_left():
    assert facts(ME, 10.0, -3.0, Shards(), {}, 42.0)["left"] == 0


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([0, 1, 2], "0-2"), ([0, 2, 3, 63], "0,2-3,63")],
)
def test_numbers_are_ranges(numbers, text):
    assert ranges(numbers) == text


def lines(answer: Any) -> list[bytes]:
    return b"".join(answer).splitlines()


class TestAdmin:
    def test_show_cluster_has_a_line_for_each_server(self, server, found):
        admin = Admin(server.broker, Who("1", 2, "INFO"), facts=lambda: told)
        told = {"cluster": found}
        first, *others, end = lines(admin.answer(b"show cluster", "unix"))
        assert json.loads(first)["kind"] == "cluster"
        assert "servers" not in json.loads(first)
        assert [json.loads(it)["kind"] for it in others] == ["server"] * 4
        assert end == b"."

    @pytest.mark.parametrize("told", [{}, {"cluster": None}])
    def test_without_a_cluster_it_has_no_line(self, server, told):
        admin = Admin(server.broker, Who("1", 2, "INFO"), facts=lambda: told)
        assert lines(admin.answer(b"show cluster", "unix")) == [b"."]

    def test_a_server_of_a_cluster_is_drained_by_those_who_may(self, server):
        drained: list[bool] = []
        who = Who("1", 2, "INFO", drain=lambda: drained.append(True))
        admin = Admin(server.broker, who)
        assert said(admin, b"drain server", "10.0.0.1", b"PERMISSION_DENIED")
        assert said(admin, b"drain", "127.0.0.1", b"INVALID_ARGUMENTS")
        assert not drained
        assert admin.answer(b"Drain Server", "127.0.0.1") == b"OK\r\n"
        assert drained == [True]

    def test_without_a_cluster_there_is_no_such_command(self, server):
        admin = Admin(server.broker, Who("1", 2, "INFO"))
        assert said(admin, b"drain server", "unix", b"UNKNOWN_COMMAND")


def said(admin: Admin, line: bytes, address: str, text: bytes) -> bool:
    """Whether an answer has this text."""
    answer = admin.answer(line, address)
    return isinstance(answer, bytes) and text in answer


def test_stats_have_the_same(found):
    known = Facts()
    assert known()["cluster"] is None
    known.cluster = lambda: found
    assert known()["cluster"] is found


def test_metrics_count_servers_links_and_shards(server, found):
    server.site.facts = lambda: {"cluster": found}
    text = b"".join(Exposition(server.site).pieces()).decode()
    for line in (
        "gearman_cluster_servers 4",
        "gearman_cluster_links 2",
        "gearman_cluster_shards 32",
        "gearman_cluster_free_shards 2",
        "gearman_cluster_lease_seconds 10.0",
        "gearman_cluster_lease_left_seconds 7.5",
        "gearman_cluster_link_lag_seconds 0.0003",
        "gearman_cluster_draining 0",
    ):
        assert f"{line}\n" in text
