"""Every test here also runs with C gearmand, which shows that the test is right."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from tests import servers
from tests.servers import Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this directory."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.interop)


# gearmand at times forgets to wake a worker, and a program waits in vain.
PLAYS = 3


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> bool | None:
    """Run a test again in which C gearmand left somebody waiting."""
    if "[gearmand" not in item.nodeid:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for play in range(PLAYS):
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        hung = any(r.failed and "TimeoutError" in r.longreprtext for r in reports)
        if not hung or play == PLAYS - 1:
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


# With the C server nothing of this package runs.
@pytest.fixture(params=[pytest.param("gearmand", marks=pytest.mark.any_build), "ours"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A new server: the C server, and then ours."""
    run = {"gearmand": servers.gearmand, "ours": servers.ours}[request.param]
    with run() as running:
        yield running
