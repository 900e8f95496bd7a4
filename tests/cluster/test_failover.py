"""The database fails over to its synchronous standby."""

import asyncio

import pytest

from .fleet import Fleet, fleet
from .players import playing
from .standby import Pair, pair

pytestmark = pytest.mark.interop


def test_promoted_standby_is_found_and_has_all_jobs() -> None:
    async def story(database: Pair) -> None:
        async with fleet(database, lease=2.0) as running:
            async with playing(running):
                await ended(running, 200)
                await asyncio.to_thread(database.fail_over)
                await ended(running, 200)
            assert running.broken() == []

    with pair("jobs") as database:
        asyncio.run(story(database))


async def ended(running: Fleet, jobs: int) -> None:
    """Return when so many more jobs have ended."""
    enough = running.history.ends + jobs
    async with asyncio.timeout(40):
        while running.history.ends < enough:
            await asyncio.sleep(0.02)
