"""A few crashes of a server; ``python -m tests.crash`` does many."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from gearman import queue
from tests.queues.backend import Store

from .run import Run, new_store


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with new_store(getattr(request, "param", "sqlite"), tmp_path) as store:
        yield store


@pytest.fixture
def seed() -> int:
    seed = random.randrange(1 << 32)
    # pytest prints this if the test fails.
    print("seed", seed)
    return seed


# A build makes the same difference with each plugin.
STORES = [
    name if name == "sqlite" else pytest.param(name, marks=pytest.mark.any_build)
    for name in queue.NAMES
]


@pytest.mark.parametrize("store", STORES, indirect=True)
def test_acknowledged_jobs_run_and_finished_ones_are_gone(store, seed):
    run = Run(store, seed, longest_life=0.3)
    endings = [run.kill_at_work, run.die_in_a_commit, run.stop_under_load]
    asyncio.run(run.play([run.kill_at_start, *run.random.sample(endings, 2)]))


def test_plugin_that_acknowledges_too_early_is_found_out(store, seed):
    run = Run(store, seed, queue="forgetful", steered=False)
    with pytest.raises(AssertionError, match="acknowledged jobs were not run"):
        asyncio.run(run.play([run.kill_when_full]))


def test_plugin_that_does_not_remove_jobs_is_found_out(store, seed):
    run = Run(store, seed, queue="undead", steered=False)
    with pytest.raises(ExceptionGroup) as group:
        asyncio.run(run.play([run.kill_when_busy]))
    assert group.group_contains(AssertionError, match="came back")
