"""How often servers are read: often only while somebody looks."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gearman.monitor.reading import attention as module
from gearman.monitor.reading.attention import GLANCE, OFTEN, SELDOM, Attention
from tests.servers import DEADLINE


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(DEADLINE):
            await story()

    asyncio.run(run())


def test_a_glance_counts_for_some_seconds() -> None:
    clock = Clock()
    attention = Attention(clock)
    assert not attention.is_there
    assert not attention.glance()
    assert attention.is_there
    assert attention.glance()
    clock.now = GLANCE
    assert not attention.is_there


def test_an_open_page_counts_until_it_is_closed() -> None:
    attention = Attention(Clock())
    with attention.watching():
        with attention.watching():
            pass
        assert attention.is_there
    assert not attention.is_there


@pytest.mark.parametrize("how", ["glance", "watching"])
def test_who_begins_to_look_ends_the_pause(how: str) -> None:
    async def story() -> None:
        attention = Attention()
        pause = asyncio.create_task(attention.pause())
        await asyncio.sleep(0)
        if how == "glance":
            attention.glance()
            await pause
        else:
            with attention.watching():
                await pause

    play(story)


def test_pauses_are_short_while_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert OFTEN < SELDOM
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def story() -> None:
        attention = Attention()
        attention.glance()
        await attention.pause()
        await attention.pause(0.05)
        # A server that takes long is asked less often.
        await attention.pause(0.5)

    play(story)
    assert pauses == [OFTEN, OFTEN - 0.05, 5.0]


def test_pause_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SELDOM", 0.0)
    play(lambda: Attention().pause())
