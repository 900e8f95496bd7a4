"""Random callers, timeouts and lost connections, with a real server and a worker.

Every caller gets its own result, or an error; nothing is left.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gearman.aio import Client, RunningJob, Worker
from gearman.aio.link import Link
from gearman.errors import JobFailed, JobRetry, ResultNotReady, ServerUnavailable
from tests import servers
from tests.aio.stage import pending, run
from tests.servers import Server

KINDS = ("quick", "slow", "thread", "fail", "data", "retry")
WAYS = ("call", "call", "foreground", "background", "map", "impatient")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(WAYS), st.sampled_from(KINDS), st.integers(0, 5)),
        st.tuples(
            st.sampled_from(("lose client", "lose worker", "cancel")),
            st.just(""),
            st.integers(0, 5),
        ),
    ),
    max_size=40,
)
# What may happen to a caller; TimeoutError is that of `asyncio.timeout`.
ERRORS = (JobFailed, ServerUnavailable, TimeoutError, ResultNotReady)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with servers.ours() as server, pytest.MonkeyPatch.context() as patch:
        # A lost server is tried again soon.
        patch.setattr("gearman.aio.servers._FIRST_REST", 0.001)
        yield server


async def quick(job: RunningJob) -> bytes:
    return b"result of " + job.workload


async def slow(job: RunningJob) -> bytes:
    await asyncio.sleep(0.002)
    return b"result of " + job.workload


def thread(job: RunningJob) -> bytes:
    job.send_status(1, 2)
    return b"result of " + job.workload


async def fail(job: RunningJob) -> bytes:
    raise ValueError(job.workload.decode())


async def data(job: RunningJob) -> bytes:
    for _ in range(3):
        job.send_data(job.workload)
        await job.drain()
    return b"result of " + job.workload


async def retry(job: RunningJob) -> bytes:
    if not job.workload.endswith(b"again"):
        raise JobRetry(0.001, "once more")
    return b"result of " + job.workload


class Play:
    """Callers of one client, and a worker."""

    def __init__(self, client: Client, worker: Worker) -> None:
        self.client = client
        self.worker = worker
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, way: str, kind: str, number: int) -> None:
        workload = b"workload %d" % len(self.tasks)

        async def caller() -> None:
            with suppress(*ERRORS):
                await self.call(way, kind, workload, number)

        self.tasks.append(asyncio.create_task(caller()))

    async def call(self, way: str, kind: str, workload: bytes, number: int) -> None:
        client, expected = self.client, b"result of " + workload
        if way == "call":
            assert await client.call(kind, workload) == expected
        elif way == "impatient":
            async with asyncio.timeout(0.002 * number):
                assert await client.call(kind, workload) == expected
        elif way == "map":
            workloads = [b"%s %d" % (workload, n) for n in range(10)]
            place = 0
            async for result in client.map(kind, workloads, concurrency=3):
                assert result == b"result of " + workloads[place]
                place += 1
        elif way == "foreground":
            job = await client.submit(kind, workload, background=False)
            if kind == "data":
                assert [each async for each in job.updates()]
            assert await job.result() == expected
        else:
            job = await client.submit(kind, workload, keep=60)
            assert await job.result(wait=5) == expected

    def act(self, name: str, number: int) -> None:
        if name == "cancel":
            if self.tasks:
                self.tasks[number % len(self.tasks)].cancel()
            return
        of_client = name == "lose client"
        (server,) = (self.client if of_client else self.worker).servers
        link: Link | None = server.link
        if link is not None:
            link.abort("the test closes it")


async def played(server: Server, steps: list[tuple[str, str, int]]) -> None:
    worker = Worker(server.address, concurrency=5)
    for function in (quick, slow, thread, fail, data, retry):
        worker.register(function.__name__, function)
    async with Client(server.address) as client:
        working = asyncio.create_task(worker.work())
        play = Play(client, worker)
        for name, kind, number in steps:
            if kind:
                play.start(name, kind, number)
            else:
                play.act(name, number)
            await asyncio.sleep(0.001 if number == 5 else 0)
        for done in asyncio.as_completed([asyncio.shield(t) for t in play.tasks]):
            with suppress(asyncio.CancelledError):
                await done
    worker.stop()
    await working
    assert worker.slots.free == worker.concurrency


@settings(max_examples=40)
@given(steps=STEPS)
def test_every_caller_gets_its_own_result_or_an_error(
    server: Server, steps: list[tuple[str, str, int]]
) -> None:
    run(played(server, steps), collect=False)


def test_no_future_is_left(known: list[asyncio.Future[Any]]) -> None:
    assert pending(known) == []
