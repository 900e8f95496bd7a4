"""The results of many jobs of one function, in the order of their workloads."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Self

from ..errors import GearmanError
from .requests import Request

# Submits the job of a workload, and abandons a request.
Start = Callable[[str | bytes], Coroutine[Any, Any, Request]]
Abandon = Callable[[Request], None]


class Results(AsyncIterator[bytes]):
    """Submits jobs, up to `concurrency` at a time, and yields their results.

    After an error, and after `aclose`, the jobs that have not ended are cancelled.
    """

    def __init__(
        self,
        start: Start,
        abandon: Abandon,
        workloads: Iterable[str | bytes],
        concurrency: int,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is at least 1, not {concurrency}")
        self._start = start
        self._abandon = abandon
        self._workloads = iter(workloads)
        self._concurrency = concurrency
        self._requests: deque[Request] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        requests = self._requests
        try:
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
            self.close()
            raise

    def close(self) -> None:
        """Cancel the jobs that have not ended."""
        self._workloads = iter(())
        requests, self._requests = self._requests, deque()
        for request in requests:
            with suppress(GearmanError):
                self._abandon(request)

    async def aclose(self) -> None:
        """Do as `close`, which async generators have under this name."""
        self.close()
