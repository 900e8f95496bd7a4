"""Tells everybody who waits that there is something new."""

import asyncio


class News:
    """A number that grows with each reading, and a way to wait for the next one."""

    def __init__(self) -> None:
        self.number = 0
        self._next = asyncio.Event()

    def publish(self) -> None:
        self.number += 1
        happened, self._next = self._next, asyncio.Event()
        happened.set()

    async def after(self, number: int) -> int:
        """Wait until there is something newer than this number; return its number."""
        while self.number <= number:
            await self._next.wait()
        return self.number
