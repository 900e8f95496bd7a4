"""A minute of random faults."""

import asyncio
import random

import pytest

from tests.queues.backend_postgres import Database, cluster

from .nemesis import survive

pytestmark = [pytest.mark.interop, pytest.mark.timeout(300)]


def test_cluster_keeps_its_promises_whatever_fails():
    seed = random.SystemRandom().randrange(10**6)
    with cluster() as running:
        history = asyncio.run(survive(Database(running, "jobs"), seed, faults=15))
    assert history.summary()
