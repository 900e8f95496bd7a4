"""Runs the coroutine of a test, and sees that it leaves nothing behind."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from tests.servers import DEADLINE

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine before the deadline; no task or descriptor may be left."""

    async def watched() -> T:
        async with asyncio.timeout(DEADLINE):
            result = await main
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others
        return result

    # What collects cycles later would count as closed by this test.
    gc.collect()
    before = descriptors()
    result = asyncio.run(watched())
    # Warnings about what was not closed are errors.
    gc.collect()
    assert descriptors() == before
    return result


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def soon(question: Callable[[], Awaitable[Any] | Any]) -> Any:
    """Ask repeatedly, and return the first true answer."""
    while True:
        answer = question()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        await asyncio.sleep(0.001)
