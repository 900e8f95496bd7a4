"""The event loop of the server: asyncio's, but the engine waits for it."""

import asyncio
from collections.abc import Coroutine
from selectors import DefaultSelector, SelectorKey
from typing import Any, TypeVar

T = TypeVar("T")


class Selector(DefaultSelector):
    """A selector that serves the channels of an engine while it waits."""

    engine: Any = None

    def attach(self, engine: Any) -> None:
        engine.attach(self.fileno())
        self.engine = engine

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if self.engine is None:
            return super().select(timeout)
        if timeout is not None:
            timeout = max(timeout, 0.0)
        return super().select(0) if self.engine.wait(timeout) else []


def run(main: Coroutine[Any, Any, T], selector: Selector) -> T:
    """Run `main` in a new event loop that waits with `selector`; return its result."""

    def make() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(selector)

    with asyncio.Runner(loop_factory=make) as runner:
        return runner.run(main)
