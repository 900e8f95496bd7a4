"""A minute of random faults; python -m tests.cluster makes more of them."""

import asyncio
import random

import pytest

from tests.queues.backend_galera import Galera, GaleraDatabase
from tests.servers import DEADLINE

from .nemesis import survive
from .places import PLACES

pytestmark = [pytest.mark.interop, pytest.mark.timeout(30 * DEADLINE)]


def a_seed() -> int:
    return random.SystemRandom().randrange(10**6)


@pytest.mark.parametrize(
    ("queue", "faults"),
    [("postgres", 8), pytest.param("mysql", 3, marks=pytest.mark.any_build)],
)
def test_cluster_keeps_its_promises_whatever_fails(queue: str, faults: int) -> None:
    database, lease = PLACES[queue]
    with database() as jobs:
        asyncio.run(survive(jobs, a_seed(), faults, lease))


@pytest.mark.any_build
def test_cluster_over_galera_keeps_its_promises_whatever_fails(galera: Galera) -> None:
    galera.heal()
    database = GaleraDatabase(galera.nodes[1], "survives", galera)
    asyncio.run(survive(database, a_seed(), 2, PLACES["galera"].lease))
