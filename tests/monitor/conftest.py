"""A server, and a monitor of it."""

from collections.abc import Iterator

import pytest

from tests import servers
from tests.monitor.monitors import Browser, monitor
from tests.servers import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Our server, the same for all tests of a module."""
    with servers.ours() as running:
        yield running


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    """A browser at a monitor of that server, without users."""
    with monitor(server.address) as found:
        yield found
