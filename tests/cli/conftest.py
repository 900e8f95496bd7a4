"""Servers for the tools."""

from collections.abc import Iterator

import pytest

from tests import servers
from tests.servers import Server
from tests.wire import Peer


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Our server, the same for all tests of a module."""
    with servers.ours() as running:
        yield running


@pytest.fixture
def peer(server: Server) -> Iterator[Peer]:
    """A connection to the server that speaks packet by packet."""
    with Peer(server.port) as connected:
        yield connected
