"""Every test here runs against C gearmand too, which shows that it tells the truth."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.servers import Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this directory."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.interop)


# With the C server nothing of this package runs.
@pytest.fixture(params=[pytest.param("gearmand", marks=pytest.mark.any_build), "ours"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A fresh server, once the C one and once ours."""
    run = {"gearmand": servers.gearmand, "ours": servers.ours}[request.param]
    with run() as running:
        yield running
