"""Back ends, each started once, and stores, one for each test."""

from collections.abc import Iterator

import pytest

from .backend import Backend, Store
from .backends import BACKENDS


@pytest.fixture(scope="session", params=BACKENDS)
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    folder = tmp_path_factory.mktemp(request.param)
    with BACKENDS[request.param](folder) as backend:
        yield backend


@pytest.fixture
def store(backend: Backend) -> Iterator[Store]:
    with backend.store() as store:
        yield store
