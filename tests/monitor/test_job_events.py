"""The events of a job from before its page was opened."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests import servers
from tests.monitor.event_streams import stream
from tests.monitor.monitors import Browser, monitor
from tests.monitor.pages_of import show
from tests.servers import Server, until
from tests.wire import Peer

pytestmark = pytest.mark.any_build


def run_job(server: Server, function: bytes) -> str:
    """Submit a job, have a worker do it, and return its handle."""
    with Peer(server.port) as client, Peer(server.port) as worker:
        handle = client.request("SUBMIT_JOB_BG", function, b"", b"x").body
        worker.send("CAN_DO", function)
        worker.send("GRAB_JOB")
        worker.expect("JOB_ASSIGN")
        worker.send("WORK_COMPLETE", handle, b"y")
        worker.fence()
    return handle.decode()


def seen(browser: Browser, server: Server, handle: str) -> list[str]:
    """Return the names of events of a job that the monitor has seen, newest first."""
    found: Any = browser.json("/api/jobevents", server=server.address, handle=handle)
    return [event["event"] for event in found["events"]]


def path(server: Server, handle: str) -> str:
    return f"/job?server={quote(server.address)}&handle={handle}"


def test_events_are_kept_all_the_time_if_that_is_asked_for(tmp_path: Path) -> None:
    options = ("--keep-events", "all", "--db", str(tmp_path / "history.db"))
    whole = ["completed", "started", "submitted"]
    with servers.ours() as server:
        with monitor(server.address, options=options) as browser:

            def kept() -> str | None:
                # The monitor may not follow the server yet.
                handle = run_job(server, b"mail")
                found = seen(browser, server, handle)
                return handle if found == whole else None

            handle = until(kept)
            assert handle
            page = show(browser, path(server, handle), 404)
            assert "does not have this job any more" in page.text
            assert "completed" in page.text
            assert "--keep-events" not in page.text
        with monitor(server.address, options=options) as browser:
            assert seen(browser, server, handle) == whole


def test_events_that_a_page_has_shown_are_kept(
    browser: Browser, server: Server
) -> None:
    with stream(browser, "/api/events") as events:
        events.event("watching")
        handle = run_job(server, b"shown")
        events.event("completed")
    assert seen(browser, server, handle) == ["completed", "started", "submitted"]


def test_job_that_nobody_has_seen_has_no_events(server: Server) -> None:
    # Another monitor may still follow the server for a page that was just closed.
    with monitor(server.address) as browser:
        handle = run_job(server, b"unseen")
        assert seen(browser, server, handle) == []
        page = show(browser, path(server, handle), 404)
        assert "Events" not in [each.text for each in page.tree.iter("h2")]
        with Peer(server.port) as client:
            handle = client.request("SUBMIT_JOB_BG", b"unseen", b"", b"x").body.decode()
        text = show(browser, path(server, handle)).text
        assert "unless --keep-events says otherwise" in text
