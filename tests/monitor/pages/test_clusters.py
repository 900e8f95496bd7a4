"""The pages of clusters and relays, as they are without a script."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gearman.monitor.access.users import make_hash
from gearman.monitor.text import name_text
from tests.monitor.monitors import Browser, monitor
from tests.monitor.pages_of import HOSTILE, act, remark, show, until_shown
from tests.monitor.told import hostile_cluster, hostile_relays, telling
from tests.servers import Server

pytestmark = pytest.mark.any_build

# Servers say their texts as JSON, so they are characters.
TEXTS = {
    key: name.decode(errors="surrogateescape").encode(errors="replace").decode()
    for key, name in HOSTILE.items()
}


@pytest.fixture(scope="module")
def told() -> Iterator[Browser]:
    """A browser at a monitor of servers that say hostile texts."""
    with ExitStack() as stack:
        addresses = [
            stack.enter_context(
                telling(cluster=hostile_cluster(text), relays=hostile_relays(text))
            )
            for text in TEXTS.values()
        ]
        found = stack.enter_context(monitor(*addresses))
        until_shown(found, "/clusters", "x" * 500)
        yield found


@pytest.mark.parametrize("path", ["/", "/clusters", "/relays"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_hostile_text_of_a_server_is_only_a_text(
    told: Browser, path: str, text: str
) -> None:
    shown = " ".join(name_text(text.encode()).split())
    assert shown in until_shown(told, path, shown).text


def test_cluster_shows_its_troubles_and_unread_servers(told: Browser) -> None:
    page = show(told, "/clusters")
    assert "3 of 64 shards have no owner" in page.text
    assert "lease in doubt" in page.text
    assert "drains" in page.text
    assert "name all of them in --servers" in page.text


def test_trouble_of_a_cluster_is_on_the_first_page(told: Browser) -> None:
    page = show(told, "/")
    assert "3 of 64 shards have no owner: their jobs wait" in page.text
    assert "/clusters" in page.links()


def test_relay_without_a_connection_is_first(told: Browser) -> None:
    rows = show(told, "/relays").rows("relays")
    assert len(rows) == 2 * len(TEXTS)
    assert "no connection" in rows[0]
    assert rows[-1].startswith("well")


def test_pages_say_what_to_do_if_there_is_no_cluster_and_no_relay(
    browser: Browser,
) -> None:
    text = show(browser, "/clusters").text
    assert "No server is in a cluster" in text
    assert "--cluster-address HOST:PORT" in text
    assert "[relay.NAME]" in show(browser, "/relays").text
    assert browser.json("/api/clusters") == {"clusters": []}
    assert browser.json("/api/relays") == {"relays": []}


def test_server_that_knows_no_such_command_refuses_to_drain() -> None:
    with (
        telling(cluster=hostile_cluster("a")) as address,
        monitor(address) as browser,
    ):
        told = remark(browser, act(browser, "drain", _target(address), confirm="yes"))
        assert told == f"Drain: {address} failed: this server has no such command"


def test_server_to_be_drained_is_named_by_its_address(
    browser: Browser, server: Server
) -> None:
    target = f"{server.address} other"
    told = remark(browser, act(browser, "drain", target, confirm="yes"))
    assert f"failed: the name of a server is its address, {server.address}" in told
    (note,) = browser.json("/api/audit", limit=1)["notes"]
    assert (note["action"], note["target"]) == ("drain", "other")


def test_drain_asks_first(browser: Browser, server: Server) -> None:
    answer = act(browser, "drain", _target(server.address))
    assert answer.status == 200
    assert "give all shards to the other servers, and end" in answer.text


def test_who_may_only_look_has_no_button_to_drain(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(
        "".join(
            f"{name}:{role}:{make_hash('secret', b'salt')}\n"
            for name, role in (("ann", "act"), ("bob", "view"))
        )
    )
    with (
        telling(cluster=hostile_cluster("a")) as address,
        monitor(address, options=("--users", str(users))) as browser,
    ):
        for name, can in (("ann", True), ("bob", False)):
            browser.cookies.clear()
            browser.log_in(name, "secret")
            page = until_shown(browser, "/clusters", "lease in doubt")
            assert bool(page.find_all("button", value="drain")) == can
        assert act(browser, "drain", _target(address)).status == 403


def _target(address: str) -> str:
    return f"{address} {address}"
