"""Runs the coroutine of a test, and sees that it leaves nothing behind."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from tests import forks
from tests.servers import DEADLINE, free_port

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], collect: bool = True) -> T:
    """Run a test's coroutine before the deadline; no task or descriptor may be left.

    To `collect` garbage before and after it makes warnings about what was not closed
    appear here, as errors. What is there before is not looked at again: other tests
    leave so much that it would take longer than most tests.
    """

    async def watched() -> T:
        async with asyncio.timeout(DEADLINE):
            result = await main
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others
        return result

    if collect:
        gc.collect()
        gc.freeze()
    before = descriptors()
    result = asyncio.run(watched())
    if collect:
        gc.collect()
    assert descriptors() == before
    return result


def descriptors() -> int:
    """Return how many descriptors this process has, but for those of `tests.forks`."""
    # From its first call on it keeps one.
    free_port()
    return len(os.listdir("/proc/self/fd")) - forks.parents()


def pending(known: Sequence[asyncio.Future[Any]] = ()) -> list[asyncio.Future[Any]]:
    """Return the futures that nobody will ever set, as no loop runs.

    Those that are `known` are left out: other tests have left them.
    """
    gc.collect()
    # Not isinstance: some objects of other packages act on any look at their class.
    found = [
        each for each in gc.get_objects() if issubclass(type(each), asyncio.Future)
    ]
    others = {id(future) for future in known}
    return [each for each in found if not (each.done() or id(each) in others)]


async def soon(question: Callable[[], Awaitable[Any] | Any]) -> Any:
    """Ask repeatedly, and return the first true answer."""
    while True:
        answer = question()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        await asyncio.sleep(0.001)
