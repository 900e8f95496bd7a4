"""The database fails over to its synchronous standby."""

import asyncio

import pytest

from .fleet import fleet
from .players import playing
from .standby import Pair, pair

pytestmark = pytest.mark.interop


def test_promoted_standby_is_found_and_has_all_jobs() -> None:
    async def story(database: Pair) -> None:
        async with fleet(database, lease=2.0) as running:
            async with playing(running):
                await running.ended(200)
                await asyncio.to_thread(database.fail_over)
                await running.ended(200)
            assert running.broken() == []

    with pair("jobs") as database:
        asyncio.run(story(database))
