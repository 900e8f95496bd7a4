"""Server-sent events: that servers were read, and what happens on them."""

from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

import gearman
from gearman.monitor.access.users import make_hash
from gearman.monitor.web.api import streams
from tests import servers
from tests.monitor.event_streams import stream
from tests.monitor.monitors import Browser, monitor
from tests.servers import DEADLINE, HOST, Server


def submit(server: Server, function: str) -> None:
    with gearman.GearmanClient([server.address]) as client:
        client.submit_job(function, b"data", background=True)


def test_each_reading_is_told(browser: Browser) -> None:
    with stream(browser, "/api/live") as found:
        first = found.next("reading")["number"]
        assert found.next("reading")["number"] > first


def test_events_of_all_servers_are_told(browser: Browser, server: Server) -> None:
    with stream(browser, "/api/events") as found:
        found.event("watching")
        submit(server, "told")
        event = found.event("submitted")
        assert (event["function"], event["server"]) == ("told", server.address)


def test_events_are_filtered(browser: Browser, server: Server) -> None:
    path = f"/api/events?server={server.address}&function=a*&events=submitted"
    with stream(browser, path) as found:
        found.event("watching")
        submit(server, "told")
        submit(server, "a b")
        assert found.next("event")["function"] == "a b"


@pytest.mark.interop
def test_server_without_events_is_told_of() -> None:
    with (
        servers.gearmand() as other,
        monitor(other.address) as browser,
        stream(browser, "/api/events") as found,
    ):
        event = found.next("event")
        assert (event["event"], event["server"]) == ("unwatched", other.address)
        assert event["reason"] == "this server has no events"


def test_events_go_on_when_a_server_is_back() -> None:
    port = servers.free_port()
    address = f"{HOST}:{port}"
    with monitor(address) as browser, stream(browser, "/api/events") as found:
        assert found.event("unwatched")["reason"] == "Connection refused"
        with servers.ours(port=port):
            found.event("watching")
        assert "closed" in found.event("unwatched")["reason"]


def test_stream_ends_when_its_user_logs_out(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("users") / "users"
    path.write_text(f"ann:act:{make_hash('secret', b'salt')}\n")
    with monitor(server.address, options=("--users", str(path))) as browser:
        browser.log_in("ann", "secret")
        with stream(browser, "/api/live") as found:
            found.next("reading")
            browser.request(
                "DELETE", "/api/session", None, {"X-CSRF-Token": browser.token}
            )
            found.rest()


def test_monitor_with_an_open_stream_ends() -> None:
    port = servers.free_port()
    with (
        monitor(f"{HOST}:{port}") as browser,
        stream(browser, "/api/live") as found,
    ):
        found.next("reading")


@pytest.fixture
def unwatched(server: Server) -> Iterator[Browser]:
    """A monitor that nobody has looked at."""
    with monitor(server.address) as found:
        yield found


def test_only_so_many_streams_are_open(unwatched: Browser) -> None:
    connections: list[HTTPConnection] = []

    def status() -> int:
        connection = HTTPConnection(HOST, unwatched.port, timeout=DEADLINE)
        connections.append(connection)
        connection.request("GET", "/api/live")
        return connection.getresponse().status

    try:
        assert {status() for _ in range(streams.MOST)} == {200}
        assert status() == 503
        connections.pop(0).close()
        # The monitor notices soon that it is closed.
        servers.until(lambda: status() == 200)
    finally:
        for connection in connections:
            connection.close()
