"""Submitting jobs by the client for asyncio, and asking for them later."""

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import fields
from itertools import chain, islice
from typing import Any, TypeVar

from ... import aio
from ...address import format_address
from ...aio.client_link import ClientLink
from ...aio.mapping import Source
from ...aio.servers import Server
from ...errors import JobFailed, NotAccepted
from ...options import JobOptions
from ..jobs import Status
from ..options import Address
from ..task import Call, Job, Task

R = TypeVar("R")

_NAMES = tuple(field.name for field in fields(JobOptions))


class AsyncCalling:
    """Submits the jobs of an app over one client, which belongs to an event loop."""

    def __init__(
        self, client: aio.Client, connect: Callable[[str], aio.Client]
    ) -> None:
        self.client = client
        self._connect = connect
        # What submits to one of several servers only.
        self._single: dict[Address, AsyncCalling] = {}

    async def call(self, task: Task[..., Any], workload: bytes) -> Any:
        """Run a foreground job; return its decoded result."""
        try:
            data = await self.client.call(task.name, workload, **self._options(task))
        except JobFailed as error:
            if error.handle is None:
                raise _refusal(error) from error
            raise
        return task.serializer.load_result(data)

    async def map(
        self,
        calls: Iterable[Call[R]] | AsyncIterable[Call[R]],
        concurrency: int,
        *,
        alike: bool,
    ) -> AsyncIterator[R]:
        """Run foreground jobs; yield their results in order.

        They are `alike` if they are of one task with the same options. That is faster.
        """
        if isinstance(calls, AsyncIterable):
            results = self._map_coming(aiter(calls), concurrency)
        elif alike:
            results = self._map_alike(iter(calls), concurrency)
        else:
            results = self._map_any(iter(calls), concurrency)
        try:
            async for result in results:
                yield result
        finally:
            await results.aclose()

    async def _map_alike(self, calls: Iterator[Call[R]], concurrency: int) -> Any:
        for first in islice(calls, 1):
            task, options = first.task, self._options(first.task)
            options.pop("unique")
            workloads = (call.workload for call in chain([first], calls))
            found = self.client.map(
                task.name, workloads, concurrency=concurrency, **options
            )
            try:
                async for data in found:
                    yield task.serializer.load_result(data)
            finally:
                found.close()

    async def _map_any(self, calls: Iterator[Call[R]], concurrency: int) -> Any:
        running: deque[asyncio.Task[R]] = deque()
        try:
            while True:
                for call in islice(calls, concurrency - len(running)):
                    running.append(self._begin(call))
                if not running:
                    return
                yield await running.popleft()
        finally:
            await _cancel(running)

    async def _map_coming(
        self, calls: AsyncIterator[Call[R]], concurrency: int
    ) -> AsyncGenerator[R]:
        """Run jobs as their calls come, which may be of different tasks."""
        if concurrency < 1:
            raise ValueError(f"concurrency is at least 1, not {concurrency}")
        running: deque[asyncio.Task[R]] = deque()
        source = Source(calls)
        try:
            while True:
                while len(running) < concurrency and not source.ended:
                    coming = source.next()
                    first = asyncio.FIRST_COMPLETED
                    await asyncio.wait([coming, *islice(running, 1)], return_when=first)
                    if not coming.done():
                        break
                    running.extend(map(self._begin, source.take()))
                if not running:
                    return
                yield await running.popleft()
        finally:
            await source.aclose()
            await _cancel(running)

    def _begin(self, call: Call[R]) -> asyncio.Task[R]:
        return asyncio.create_task(self.call(call.task, call.workload))

    async def submit(self, task: Task[..., R], workload: bytes) -> Job[R]:
        """Submit a background job."""
        try:
            job = await self.client.submit(task.name, workload, **self._options(task))
        except JobFailed as error:
            raise _refusal(error) from error
        return _submitted(task, job)

    async def submit_many(
        self, calls: Sequence[Call[R]], *, bound: bool = False
    ) -> list[Job[R]]:
        """Submit background jobs at once; if they are `bound`, all to one server."""
        if bound and (self.client.discover or len(self.client.servers) > 1):
            return await self._submit_bound(calls)
        options: dict[int, dict[str, Any]] = {}
        submissions = []
        for call in calls:
            task = call.task
            given = options.get(id(task))
            if given is None:
                given = options[id(task)] = self._options(task)
            submissions.append((task.name, call.workload, given))
        try:
            jobs = await self.client.submit_many(submissions)
        except aio.NotAccepted as error:
            found = [
                job and _submitted(call.task, job)
                for call, job in zip(calls, error.jobs, strict=True)
            ]
            raise NotAccepted(str(error), found) from error
        return [
            _submitted(call.task, job) for call, job in zip(calls, jobs, strict=True)
        ]

    async def _submit_bound(self, calls: Sequence[Call[R]]) -> list[Job[R]]:
        """Submit the first job, and the others to the same server."""
        first = await self.submit(calls[0].task, calls[0].workload)
        if len(calls) == 1:
            return [first]
        others = await self._only(first.server).submit_many(calls[1:])
        return [first, *others]

    def _only(self, server: Address | None) -> "AsyncCalling":
        """Return what submits to one of the servers only."""
        assert server is not None
        only = self._single.get(server)
        if only is None:
            client = self._connect(format_address(*server))
            only = self._single[server] = AsyncCalling(client, self._connect)
        return only

    # Asking for jobs.

    async def result(self, job: Job[R], wait: float | None) -> R:
        """Return the decoded result of a job."""
        result: R = job.task.serializer.load_result(await self._job(job).result(wait))
        return result

    async def status(self, job: Job[Any]) -> Status:
        """Ask for the status of a job."""
        said = await self._job(job).status()
        return Status(said.known, said.running, said.numerator, said.denominator)

    async def cancel(self, job: Job[Any]) -> bool:
        """Have a job dropped; return whether a server knew it."""
        return await self._job(job).cancel()

    async def close(self) -> None:
        """Close the connections."""
        for client in (self.client, *(each.client for each in self._single.values())):
            await client.close()

    def _job(self, job: Job[Any]) -> aio.Job:
        return aio.Job(self._servers(job.server), job.handle)

    def _servers(self, address: Address | None) -> list[Server[ClientLink]]:
        found = [each for each in self.client.servers if each.get_address() == address]
        return found or self.client.servers

    def _options(self, task: Task[..., Any]) -> dict[str, Any]:
        """Return the options of a task as the client takes them."""
        steering = task.steering
        given: dict[str, Any] = {"unique": steering.unique}
        if task.options.get("priority") is not None:
            given["priority"] = task.options["priority"]
        for name in _NAMES if steering.options is not None else ():
            value = getattr(steering.options, name)
            if value is not None:
                given[name] = value
        if steering.server is not None:
            # A job, and not its handle alone, says which server is meant.
            servers = self._servers(steering.server)
            first, *others = given["after"]
            given["after"] = [aio.Job(servers, first.decode()), *others]
        return given


async def _cancel(running: Iterable[asyncio.Task[Any]]) -> None:
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def _submitted(task: Task[..., R], job: aio.Job) -> Job[R]:
    return Job(task, job.handle, job)


def _refusal(error: JobFailed) -> NotAccepted:
    return NotAccepted(f"the job was not accepted: {error.reason or error}", [None])
