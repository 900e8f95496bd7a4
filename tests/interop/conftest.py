"""Every test here also runs with C gearmand, which shows that the test is right."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.servers import Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this directory."""
    here = f"{Path(__file__).parent}/"
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.interop)


# With the C server nothing of this package runs.
@pytest.fixture(params=[pytest.param("gearmand", marks=pytest.mark.any_build), "ours"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A new server: the C server, and then ours."""
    run = {"gearmand": servers.gearmand, "ours": servers.ours}[request.param]
    with run() as running:
        yield running
