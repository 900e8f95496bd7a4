"""Random interleavings: every caller gets its own result or an error, nothing leaks.

The server is a script in the same loop: when it answers, what, and whether it closes
connections, is random, and so is which callers are cancelled.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gearman.aio import Client, Job
from gearman.errors import JobFailed, ServerUnavailable
from tests.aio.scripted import Scripted, Talk, scripted
from tests.aio.stage import pending, run


async def coming(workloads: Iterable[bytes]) -> AsyncIterator[bytes]:
    for workload in workloads:
        await asyncio.sleep(0)
        yield workload


# What a caller, or the server, does next; the number chooses a caller or a job.
CALLER = ("call", "unique", "background", "foreground", "many", "status", "cancel")
SERVER = (
    *("create", "refuse", "complete", "fail", "except", "data", "progress"),
    *("tell", "lose"),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(CALLER + SERVER + ("call", "create", "complete") * 3),
        st.integers(0, 30),
        # How often the loop turns after it.
        st.integers(0, 4),
    ),
    max_size=60,
)


class Side:
    """One connection as the server sees it, with the jobs that it has got."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.submitted: deque[list[bytes]] = deque()
        # Handles of jobs whose status was asked for.
        self.asked: deque[bytes] = deque()
        # Workloads of running jobs by handle.
        self.running: dict[bytes, bytes] = {}
        self.lost = False
        self.reading = asyncio.create_task(self.read())

    async def read(self) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                if (await self.talk.reader.readexactly(1)) != b"\0":
                    # A cancelled caller cancels its job.
                    line = await self.talk.line()
                    self.cancel(line.split()[-1])
                    continue
                rest = await self.talk.reader.readexactly(11)
                number, length = (
                    int.from_bytes(rest[n : n + 4], "big") for n in (3, 7)
                )
                body = await self.talk.reader.readexactly(length)
                self.received(number, body.split(b"\0"))

    def received(self, number: int, arguments: list[bytes]) -> None:
        if number in (7, 18, 21, 33):
            self.submitted.append([b"bg" if number == 18 else b"", *arguments])
        elif number == 15:
            self.asked.append(arguments[0])
        else:
            assert number == 26

    def tell(self) -> None:
        """Answer the oldest question for a status."""
        if self.asked:
            handle = self.asked.popleft()
            known = b"1" if handle in self.running else b"0"
            self.talk.send("STATUS_RES", handle, known, b"0", b"0", b"0")

    def cancel(self, handle: bytes) -> None:
        known = self.running.pop(handle, None) is not None
        if known:
            self.talk.send("WORK_FAIL", handle)
        self.talk.writer.write(b"OK\r\n" if known else b"ERR UNKNOWN_JOB\r\n")


class Play:
    """The server and the callers."""

    def __init__(self, script: Scripted, client: Client) -> None:
        self.script = script
        self.client = client
        self.sides: list[Side] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.jobs: list[tuple[Job, bytes]] = []
        self.handles = 0
        self.count = 0
        self.accepting = asyncio.create_task(self.accept())

    async def accept(self) -> None:
        while True:
            self.sides.append(Side(await self.script.accept()))

    # The callers.

    def start(self, name: str, number: int) -> None:
        self.count += 1
        workload = b"workload %d" % self.count
        calls: dict[str, Callable[[], Awaitable[None]]] = {
            "call": lambda: self.call(workload, None),
            "unique": lambda: self.call(workload, f"u{self.count}"),
            "background": lambda: self.submit(workload, background=True),
            "foreground": lambda: self.submit(workload, background=False),
            "many": lambda: self.many(number),
            "status": lambda: self.status(number),
        }
        call = calls[name]

        async def caller() -> None:
            with suppress(JobFailed, ServerUnavailable):
                await call()

        self.tasks.append(asyncio.create_task(caller()))

    async def call(self, workload: bytes, unique: str | None) -> None:
        result = await self.client.call("f", workload, unique=unique)
        assert result == b"result of " + workload

    async def submit(self, workload: bytes, background: bool) -> None:
        job = await self.client.submit("f", workload, background=background)
        self.jobs.append((job, workload))
        if not background:
            async for _ in job.updates():
                pass
            assert await job.result() == b"result of " + workload

    async def many(self, number: int) -> None:
        workloads = [b"many %d %d" % (self.count, n) for n in range(number)]
        source = coming(workloads) if number % 2 else workloads
        results = self.client.map("f", source, concurrency=1 + number // 3)
        place = 0
        async for result in results:
            assert result == b"result of " + workloads[place]
            place += 1
        assert place == number

    async def status(self, number: int) -> None:
        if self.jobs:
            job, _ = self.jobs[number % len(self.jobs)]
            await job.status()

    def cancel(self, number: int) -> None:
        if self.tasks:
            self.tasks[number % len(self.tasks)].cancel()

    # The server.

    def act(self, name: str, number: int) -> None:
        sides = [side for side in self.sides if not side.lost]
        if not sides:
            return
        side = sides[-1]
        if name == "lose":
            side.lost = True
            side.talk.abort()
        elif name == "tell":
            side.tell()
        elif name in ("create", "refuse"):
            if side.submitted:
                getattr(self, name)(side, side.submitted.popleft())
        elif side.running:
            handles = sorted(side.running)
            self.end(side, handles[number % len(handles)], name)

    def create(self, side: Side, job: list[bytes]) -> None:
        self.handles += 1
        handle = b"H:%d" % self.handles
        side.talk.send("JOB_CREATED", handle)
        if job[0] != b"bg":
            side.running[handle] = job[-1]

    def refuse(self, side: Side, job: list[bytes]) -> None:
        side.talk.send("ERROR", b"QUEUE_ERROR", b"Job queue is full")

    def end(self, side: Side, handle: bytes, name: str) -> None:
        if name == "data":
            side.talk.send("WORK_DATA", handle, b"data")
            side.talk.send("WORK_WARNING", handle, b"warning")
            return
        if name == "progress":
            side.talk.send("WORK_STATUS", handle, b"1", b"2")
            return
        workload = side.running.pop(handle)
        if name == "complete":
            side.talk.send("WORK_COMPLETE", handle, b"result of " + workload)
        elif name == "fail":
            side.talk.send("WORK_FAIL", handle)
        else:
            side.talk.send("WORK_EXCEPTION", handle, b"exception")

    # The end.

    def answer_all(self) -> None:
        """Answer all that was asked."""
        for side in self.sides:
            if side.lost:
                continue
            while side.submitted:
                self.create(side, side.submitted.popleft())
            side.tell()
            for handle in sorted(side.running):
                self.end(side, handle, "complete")

    async def finish(self) -> None:
        """Answer all that is asked, until no caller waits."""
        while any(not task.done() for task in self.tasks):
            self.answer_all()
            await asyncio.sleep(0.001)
        for task in self.tasks:
            if not task.cancelled():
                task.result()

    async def stop(self) -> None:
        self.accepting.cancel()
        readers = [side.reading for side in self.sides]
        for reader in readers:
            reader.cancel()
        await asyncio.wait([self.accepting, *readers])


async def played(steps: list[tuple[str, int, int]]) -> None:
    async with scripted() as script:
        async with Client(script.address) as client:
            play = Play(script, client)
            for name, number, turns in steps:
                if name == "cancel":
                    play.cancel(number)
                elif name in CALLER:
                    play.start(name, number)
                else:
                    play.act(name, number)
                for _ in range(turns):
                    await asyncio.sleep(0)
            await play.finish()
            await nothing_waits(play)
        await play.stop()


async def nothing_waits(play: Play) -> None:
    """Once all has ended, the client keeps no request and no question."""
    (server,) = play.client.servers
    link = server.link
    if link is None:
        return
    while link.connected and (link.open.awaiting_handles or link._lines):
        play.answer_all()
        await asyncio.sleep(0.001)
    # The last answers are on their way.
    await asyncio.sleep(0.001)
    while link.connected and link.open.by_handle:
        play.answer_all()
        await asyncio.sleep(0.001)
    assert not link._questions


@settings(max_examples=200)
@given(STEPS)
def test_every_caller_gets_its_own_result_or_an_error(
    steps: list[tuple[str, int, int]],
) -> None:
    run(played(steps), collect=False)


def test_no_future_is_left(known: list[asyncio.Future[Any]]) -> None:
    assert pending(known) == []
