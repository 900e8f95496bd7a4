"""What tests of the runner share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.tasks.runner.stage import Stage


@pytest.fixture
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A program and a server; the parameter has options of the server, if any."""
    with servers.ours(*getattr(request, "param", ())) as server:
        stage = Stage(tmp_path, server.address)
        with stage.app:
            yield stage
