"""Every test here also runs with C gearmand, which shows that the test is right."""

from collections.abc import Iterator

import pytest

from tests import servers
from tests.servers import Server


# With the C server nothing of this package runs.
@pytest.fixture(params=[pytest.param("gearmand", marks=pytest.mark.any_build), "ours"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A new server: the C server, and then ours."""
    run = {"gearmand": servers.gearmand, "ours": servers.ours}[request.param]
    with run() as running:
        yield running
