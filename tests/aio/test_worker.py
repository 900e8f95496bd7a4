"""The worker with real servers: functions, results, stopping, lost connections."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from gearman.aio import Admin, Client, Data, Progress, RunningJob, Warned, Worker
from gearman.errors import (
    ConfigurationError,
    InvalidWorkerState,
    JobFailed,
    JobRetry,
    ServerUnavailable,
)
from tests import servers
from tests.aio.stage import run, soon
from tests.client.stage import unanswered
from tests.servers import Server


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    """Run a worker; it must end when it is stopped, and have all its slots then."""
    work = asyncio.create_task(worker.work())
    try:
        yield work
    finally:
        if not work.done():
            worker.stop()
        await work
    assert worker.slots.free == worker.concurrency


async def echo(job: RunningJob) -> bytes:
    return job.workload


class Callable:
    async def __call__(self, job: RunningJob) -> str:
        return f"{job.function} {job.unique}"


def in_thread(job: RunningJob) -> None:
    assert threading.current_thread() is not threading.main_thread()
    job.send_data("part")
    job.send_warning(b"warning")
    job.send_status(1, 2)


def test_functions_of_all_kinds_run(server: Server, task: str) -> None:
    async def main() -> None:
        worker = Worker(server.address, concurrency=3, client_id=f"id-{task}")
        worker.register(f"{task}-echo", echo)
        worker.register(f"{task}-object", Callable())
        worker.register(f"{task}-thread", in_thread, timeout=60.0)
        worker.register(f"{task}-partial", partial(echo))
        async with working(worker), Client(server.address) as client:
            assert await client.call(f"{task}-echo", b"a\0b") == b"a\0b"
            assert await client.call(f"{task}-partial", b"x") == b"x"
            result = await client.call(f"{task}-object", unique=task)
            assert result == f"{task}-object {task}".encode()
            job = await client.submit(f"{task}-thread", background=False)
            updates = [update async for update in job.updates()]
            assert updates == [Data(b"part"), Warned(b"warning"), Progress(1, 2)]
            assert await job.result() == b""
            async with Admin(server.address) as admin:
                ids = [each["client_id"] for each in await admin.workers()]
                assert f"id-{task}" in ids

    run(main())


def test_so_many_jobs_run_at_once(server: Server, task: str) -> None:
    async def main() -> None:
        running = most = 0
        go_on = asyncio.Event()

        async def count(job: RunningJob) -> bytes:
            nonlocal running, most
            running += 1
            most = max(most, running)
            if running == 7:
                go_on.set()
            await go_on.wait()
            running -= 1
            return job.workload

        worker = Worker(server.address, concurrency=7)
        worker.register(task, count)
        async with working(worker), Client(server.address) as client:
            workloads = [str(number) for number in range(100)]
            results = [each async for each in client.map(task, workloads)]
            assert results == [each.encode() for each in workloads]
        assert most == 7

    run(main())


def fails(job: RunningJob) -> None:
    if job.workload == b"cancelled":
        raise asyncio.CancelledError
    raise ValueError("as the client wants it")


async def cancels_itself(job: RunningJob) -> None:
    raise asyncio.CancelledError


async def returns_a_number(job: RunningJob) -> Any:
    return 5


def test_a_failure_is_reported(server: Server, task: str) -> None:
    async def main() -> None:
        worker = Worker(server.address)
        worker.register(f"{task}-fails", fails)
        worker.register(f"{task}-number", returns_a_number)
        worker.register(f"{task}-cancels", cancels_itself)
        async with working(worker), Client(server.address) as client:
            for name, reason in (
                ("fails", "builtins.ValueError: as the client wants it"),
                ("number", "builtins.TypeError: expected str or bytes, not int: 5"),
                ("cancels", "asyncio.exceptions.CancelledError: "),
            ):
                with pytest.raises(JobFailed) as caught:
                    await client.call(f"{task}-{name}")
                assert caught.value.reason == reason

    run(main())


def test_a_failure_need_not_be_reported(server: Server, task: str) -> None:
    async def main() -> None:
        worker = Worker(server.address, report_exceptions=False)
        worker.register(task, fails)
        async with working(worker), Client(server.address) as client:
            with pytest.raises(JobFailed) as caught:
                await client.call(task)
            assert caught.value.reason == ""

    run(main())


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    with servers.ours() as server:
        yield server


def test_a_job_is_tried_again(ours: Server, task: str) -> None:
    async def main() -> None:
        tries = 0

        async def flaky(job: RunningJob) -> bytes:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise JobRetry(0.001, "not yet")
            return b"%d" % tries

        def wrong(job: RunningJob) -> None:
            raise JobRetry(-1)

        worker = Worker(ours.address)
        worker.register(task, flaky)
        worker.register("wrong", wrong)
        async with working(worker), Client(ours.address) as client:
            assert await client.call(task, retries=5) == b"3"
            with pytest.raises(JobFailed, match="ValueError: delay is a number"):
                await client.call("wrong")

    run(main())


@pytest.mark.interop
def test_gearmand_cannot_try_a_job_again(task: str) -> None:
    async def retry(job: RunningJob) -> None:
        raise JobRetry(1)

    async def main(address: str) -> None:
        worker = Worker(address)
        worker.register(task, retry)
        async with working(worker), Client(address) as client:
            with pytest.raises(JobFailed, match="to try a job again"):
                await client.call(task)

    with servers.gearmand() as server:
        run(main(server.address))


def test_a_function_may_be_registered_while_the_worker_works(
    server: Server, task: str
) -> None:
    async def main() -> None:
        worker = Worker(server.address)
        async with working(worker), Client(server.address) as client:
            call = asyncio.create_task(client.call(task, b"x"))
            await soon(lambda: worker.servers[0].connected)
            worker.register(task, echo)
            assert await call == b"x"
            with pytest.raises(InvalidWorkerState):
                await worker.work()

    run(main())


def test_what_cannot_be_called_is_no_function() -> None:
    worker = Worker(servers.HOST)
    with pytest.raises(TypeError, match="needs a function, not str"):
        worker.register("name", "function")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="concurrency"):
        Worker(servers.HOST, concurrency=0)


def test_a_stopped_worker_ends_its_jobs(server: Server, task: str) -> None:
    async def main() -> None:
        started, go_on = asyncio.Event(), asyncio.Event()

        async def slow(job: RunningJob) -> bytes:
            started.set()
            await go_on.wait()
            return b"ended"

        worker = Worker(server.address, concurrency=2)
        worker.register(task, slow)
        async with Client(server.address) as client:
            async with working(worker) as work:
                call = asyncio.create_task(client.call(task))
                await started.wait()
                # From another thread, as from a signal handler.
                await asyncio.to_thread(worker.stop)
                await asyncio.sleep(0.01)
                assert not work.done()
                go_on.set()
                assert await call == b"ended"
                await work
            # It may work again.
            async with working(worker):
                assert await client.call(task) == b"ended"

    run(main())


def test_a_worker_that_is_stopped_before_it_works_returns_at_once() -> None:
    async def main() -> None:
        worker = Worker(unanswered())
        worker.stop()
        await worker.work()

    run(main())


@pytest.mark.parametrize("threaded", [False, True])
def test_the_jobs_of_a_cancelled_worker_are_queued_again(
    ours: Server, task: str, threaded: bool
) -> None:
    async def main() -> None:
        started = threading.Event()
        go_on = threading.Event()
        cancelled = []

        async def slow(job: RunningJob) -> None:
            started.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(job.handle)
                raise

        def slow_thread(job: RunningJob) -> None:
            started.set()
            go_on.wait(servers.DEADLINE)
            with pytest.raises(ServerUnavailable):
                job.send_data(b"too late")
            assert job.cancelled
            cancelled.append(job.handle)

        worker = Worker(ours.address)
        worker.register(task, slow_thread if threaded else slow)
        async with Client(ours.address) as client:
            call = asyncio.create_task(client.call(task, b"x"))
            work = asyncio.create_task(worker.work())
            await soon(started.is_set)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            go_on.set()
            await soon(lambda: cancelled)
            assert worker.slots.free == 1
            other = Worker(ours.address)
            other.register(task, echo)
            async with working(other):
                assert await call == b"x"
        for thread in threading.enumerate():
            if thread.name.startswith("gearman-worker"):
                thread.join(servers.DEADLINE)

    run(main())


def test_a_job_that_nobody_wants_is_told(ours: Server, task: str) -> None:
    async def main() -> None:
        jobs: list[RunningJob] = []

        async def told(job: RunningJob) -> None:
            jobs.append(job)
            await soon(lambda: job.cancelled)

        async def cancelled(job: RunningJob) -> None:
            jobs.append(job)
            await asyncio.sleep(60)

        worker = Worker(ours.address, concurrency=2)
        worker.register(f"{task}-told", told)
        worker.register(f"{task}-cancelled", cancelled, cancel=True)
        async with working(worker), Client(ours.address) as client:
            calls = [
                asyncio.create_task(client.call(f"{task}-{name}"))
                for name in ("told", "cancelled")
            ]
            await soon(lambda: len(jobs) == 2)
            assert not jobs[0].cancelled
            assert repr(jobs[0]).startswith("<RunningJob H:")
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            await soon(lambda: not worker._tasks)
            assert [job.cancelled for job in jobs] == [True, True]

    run(main())


def test_a_worker_comes_back_to_a_server(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.aio.servers._FIRST_REST", 0.01)

    async def main() -> None:
        port = servers.free_port()
        address = f"{servers.HOST}:{port}"
        worker = Worker(address)
        worker.register(task, echo)
        async with working(worker):
            await soon(lambda: worker._problems)
            for _ in range(2):
                with servers.ours(port=port):
                    async with Client(address) as client:
                        assert await client.call(task, b"x") == b"x"
                await soon(lambda: worker._problems)

    run(main())


def test_a_worker_need_not_wait_for_a_server() -> None:
    async def main() -> None:
        worker = Worker(unanswered(), unanswered(), reconnect=False)
        with pytest.raises(ServerUnavailable, match=r"refused.*; .*refused"):
            await worker.work()

    run(main())


def test_certificates_that_cannot_be_used_end_a_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEARMAN_CA_CERTIFICATE", "/no/such/file")

    async def main() -> None:
        with pytest.raises(ConfigurationError):
            await Worker(servers.HOST, tls=True).work()
        async with Client(servers.HOST, tls=True) as client:
            with pytest.raises(ConfigurationError):
                await client.call("f")
            with pytest.raises(ConfigurationError):
                await client.job("H:1").status()

    run(main())


def test_a_thread_that_sends_much_waits_for_the_server(ours: Server, task: str) -> None:
    async def main() -> None:
        part = b"x" * 4_000_000

        def much(job: RunningJob) -> bytes:
            for _ in range(5):
                job.send_data(part)
            with pytest.raises(TypeError):
                job.send_status("1", 2)  # type: ignore[arg-type]
            return b"sent"

        async def drained(job: RunningJob) -> bytes:
            for _ in range(5):
                job.send_data(part)
                await job.drain()
            return b"sent"

        worker = Worker(ours.address, concurrency=2)
        worker.register(f"{task}-much", much)
        worker.register(f"{task}-drained", drained)
        async with working(worker), Client(ours.address) as client:
            for name in ("much", "drained"):
                job = await client.submit(f"{task}-{name}", background=False)
                updates = [update async for update in job.updates()]
                assert updates == [Data(part)] * 5
                assert await job.result() == b"sent"

    run(main())


def test_one_worker_serves_two_servers(ours: Server, task: str) -> None:
    async def main(addresses: list[str]) -> None:
        worker = Worker(*addresses, concurrency=2)
        worker.register(task, echo)
        async with working(worker):
            for address in addresses * 2:
                async with Client(address) as client:
                    workloads = [str(number) for number in range(50)]
                    results = [each async for each in client.map(task, workloads)]
                    assert len(results) == 50

    with servers.ours() as other:
        run(main([ours.address, other.address]))
