"""An app whose jobs go to a real server, and are run by workers in threads."""

from collections.abc import Iterator

import pytest

from gearman.tasks import App
from tests import servers
from tests.servers import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with servers.ours("--job-handle-prefix=H:test") as started:
        yield started


@pytest.fixture
def app(server: Server) -> Iterator[App]:
    """An app with the shared server; at the end it has left no jobs there."""
    with App(server.address) as app:
        yield app
        with app.admin(server.address) as admin:
            for name in app.tasks:
                admin.drop_function(name)
