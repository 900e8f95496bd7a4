"""Postgres is restarted, or stops for a while, while a server uses it."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from gearman.queue import load
from tests.queues.backend import Backend, Store
from tests.queues.backend_postgres import Cluster, cluster

from .outage import survives, survives_quickly


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture
def store(postgres: Cluster, request: pytest.FixtureRequest) -> Store:
    arguments = {"conninfo": postgres.conninfo(), "schema": request.node.name}
    return Store(Backend(load("postgres"), dict), arguments)


@pytest.mark.parametrize(
    "how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"]
)
def test_restart_of_postgres_loses_no_job(how, postgres, store):
    survives_quickly(store, lambda: asyncio.to_thread(postgres.restart, how))


def test_absence_of_postgres_loses_no_job(postgres, store):
    survives(
        store,
        lambda: asyncio.to_thread(postgres.stop),
        lambda: asyncio.to_thread(postgres.start),
    )
