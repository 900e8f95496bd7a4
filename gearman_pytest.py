"""Fixtures for pytest: a job server, and workers of apps. docs/testing.md has more.

pytest loads this in each of its runs, wherever the package is installed. So it imports
nothing of the package before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gearman.tasks import App


@pytest.fixture
def gearman_server_options() -> Sequence[str]:
    """Options of `gearman_server`, as of gearmand's command line: none.

    Tests that need some have a fixture of this name of their own.
    """
    return ()


@pytest.fixture
def gearman_server(gearman_server_options: Sequence[str]) -> Iterator[str]:
    """The address of a new, empty job server, which runs until the end of the test."""
    from gearman.server import embedded

    with embedded.server(*gearman_server_options) as address:
        yield address


@pytest.fixture
def gearman_worker(gearman_server: str) -> Iterator[Callable[[App], App]]:
    """A function that runs the tasks of an app until the end of the test.

    Until then, the app uses the job server of the test.
    """
    from gearman.testing import worker

    with ExitStack() as stack:

        def run(app: App) -> App:
            return stack.enter_context(worker(app, gearman_server))

        yield run
