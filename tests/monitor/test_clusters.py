"""The monitor and servers that share a database, and servers that pass jobs on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.cluster.anywhere import Site, site
from tests.monitor.monitors import Browser, monitor
from tests.monitor.pages_of import act, remark
from tests.queues.backend_postgres import cluster
from tests.servers import HOST, until
from tests.wire import Peer

pytestmark = pytest.mark.interop

SETTINGS = """
[relay.central]
servers = ["{address}"]
functions = ["mail"]
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("two")
    with cluster() as postgres, site(postgres, folder, "monitored", 2, near=True) as it:
        yield it


def shown(browser: Browser) -> Any:
    """Return the only cluster of a monitor."""
    (found,) = browser.json("/api/clusters")["clusters"]
    return found


def test_servers_of_a_cluster_are_shown_and_one_is_drained(two: Site) -> None:
    addresses = [f"{HOST}:{server.port}" for server in two.servers]
    with monitor(*addresses) as browser:
        until(lambda: [m["state"] for m in _members(browser)] == ["fresh"] * 2)
        until(lambda: [m["owned"] for m in _members(browser)] == [32, 32])
        until(lambda: [link["state"] for link in shown(browser)["links"]] == ["up"])
        found = shown(browser)
        assert found["troubles"] == []
        assert {each["server"] for each in found["members"]} == {*addresses}
        first = addresses[0]
        answer = act(browser, "drain", f"{first} {first}", confirm="yes")
        assert remark(browser, answer).startswith(f"Drain: {first}: begun")
        until(lambda: [m["owned"] for m in _members(browser)] == [64])
        (note,) = browser.json("/api/audit", limit=1)["notes"]
        assert (note["action"], note["server"], note["result"]) == (
            *("drain", first, "done"),
        )


def _members(browser: Browser) -> Any:
    found = browser.json("/api/clusters")["clusters"]
    return found[0]["members"] if found else []


def test_relay_is_shown_until_its_target_has_the_jobs(tmp_path: Path) -> None:
    port = servers.free_port()
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS.format(address=f"{HOST}:{port}"))
    with (
        servers.ours("--settings", str(settings)) as here,
        monitor(here.address) as browser,
    ):
        with Peer(here.port) as peer:
            peer.request("SUBMIT_JOB_BG", b"mail", b"", b"data")

        def relay() -> Any:
            (found,) = browser.json("/api/relays")["relays"] or [{}]
            return found

        # It may have been read before the job came.
        until(lambda: relay().get("error") and relay()["waiting"] == 1)
        assert not relay()["connected"]
        with servers.ours(port=port):
            until(lambda: relay().get("passed_on") == 1)
            assert relay()["connected"]
