"""The library that this one stands in for."""

import pytest

from tests.client.python2.original import Original, find_original


@pytest.fixture(scope="session")
def original(pytestconfig: pytest.Config) -> Original:
    assert pytestconfig.cache is not None
    return find_original(pytestconfig.cache.mkdir("python-gearman-2.0.2"))
