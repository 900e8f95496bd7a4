"""The results of many jobs of one function, in the order of their workloads."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar

from ..errors import GearmanError
from .requests import Request

T = TypeVar("T")

# Submits the job of a workload, and abandons a request.
Start = Callable[[str | bytes], Coroutine[Any, Any, Request]]
Abandon = Callable[[Request], None]


class Source(Generic[T]):
    """Items of an async iterable, one after the other.

    While the next one is awaited, other things may be done; so it has a task.
    """

    def __init__(self, items: AsyncIterable[T]) -> None:
        self._next: asyncio.Task[T] | None = None
        self._items = aiter(items)
        self.ended = False

    def next(self) -> asyncio.Task[T]:
        """Return the task whose result is the next item."""
        if self._next is None:
            # An awaitable that is no coroutine cannot have a task.
            self._next = asyncio.create_task(_item(self._items))
        return self._next

    def take(self) -> list[T]:
        """Return the next item, which has come; nothing if there was none, at the end.

        Raises what the iterable has raised.
        """
        came, self._next = self.next(), None
        try:
            return [came.result()]
        except StopAsyncIteration:
            self.ended = True
            return []

    def close(self) -> None:
        """Await no more items."""
        self.ended = True
        if self._next is not None and not self._next.done():
            # The loop may be closed, if this object is collected late.
            with suppress(RuntimeError):
                self._next.add_done_callback(_dismiss)
                self._next.cancel()
        elif self._next is not None:
            _dismiss(self._next)

    __del__ = close

    async def aclose(self) -> None:
        """Await no more items, and wait until the iterable has noticed that."""
        self.close()
        if self._next is not None:
            await asyncio.wait([self._next])


def _dismiss(task: asyncio.Task[Any]) -> None:
    """Have nobody be told that an error was not looked at."""
    if not task.cancelled():
        task.exception()


async def _item(items: AsyncIterator[T]) -> T:
    return await anext(items)


class Results(AsyncIterator[bytes]):
    """Submits jobs, up to `concurrency` at a time, and yields their results.

    After an error, and after `aclose`, the jobs that have not ended are cancelled.
    """

    def __init__(
        self,
        start: Start,
        abandon: Abandon,
        workloads: Iterable[str | bytes] | AsyncIterable[str | bytes],
        concurrency: int,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is at least 1, not {concurrency}")
        self._start = start
        self._abandon = abandon
        self._source: Source[str | bytes] | None = None
        if isinstance(workloads, AsyncIterable):
            self._source, workloads = Source(workloads), ()
        self._workloads = iter(workloads)
        self._concurrency = concurrency
        self._requests: deque[Request] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        requests = self._requests
        try:
            if self._source is not None:
                await self._listen(self._source)
            while len(requests) < self._concurrency:
                for workload in self._workloads:
                    requests.append(await self._start(workload))
                    break
                else:
                    break
            if not requests:
                raise StopAsyncIteration
            await requests[0].end()
            return requests.popleft().outcome()
        except StopAsyncIteration:
            raise
        except BaseException:
            await self.aclose()
            raise

    async def _listen(self, source: Source[str | bytes]) -> None:
        """Submit workloads as they come, until there is a result, or no more place."""
        requests = self._requests
        while len(requests) < self._concurrency and not source.ended:
            coming = source.next()
            if not requests:
                await asyncio.wait([coming])
            else:
                await requests[0].end_or(coming)
                if not coming.done():
                    return
            for workload in source.take():
                requests.append(await self._start(workload))

    def close(self) -> None:
        """Cancel the jobs that have not ended."""
        self._workloads = iter(())
        if self._source is not None:
            self._source.close()
        requests, self._requests = self._requests, deque()
        for request in requests:
            with suppress(GearmanError):
                self._abandon(request)

    async def aclose(self) -> None:
        """Do as `close`, which async generators have under this name."""
        self.close()
        if self._source is not None:
            await self._source.aclose()
