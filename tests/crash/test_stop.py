"""Servers that are stopped gracefully, also with a failing back end."""

import asyncio
import random

import pytest

from .outage import under_load
from .run import Run, new_store


@pytest.fixture
def store(tmp_path):
    with new_store("sqlite", tmp_path) as store:
        yield store


def test_stop_under_load_leaves_nothing_undone(store):
    run = Run(store, random.randrange(1 << 32), longest_life=0.5)
    asyncio.run(run.play([run.stop_under_load] * 2))


def test_stop_in_an_outage_ends_and_says_what_was_not_done(store):
    async def story():
        file = store.arguments["db"]
        away = file.with_suffix(".away")
        async with under_load(store) as outage:
            await outage.until("finished", 500)
            file.rename(away)
            await outage.lasts()
            await outage.server.stop()
            away.rename(file)
            assert outage.server.said("finished jobs could not be removed") == 1
            await outage.starts_again()

    asyncio.run(story())
