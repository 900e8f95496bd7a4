"""Workers of async tasks: many jobs at once, each with its own current job."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

import gearman.tasks
from gearman.tasks import App, AsyncTaskWorker, JobFailed, Retry
from tests.aio.scripted import scripted
from tests.aio.stage import soon
from tests.servers import DEADLINE


@asynccontextmanager
async def working(app: App, **options: Any) -> AsyncIterator[AsyncTaskWorker]:
    """Run a worker of an app; it must end when it is stopped."""
    worker = AsyncTaskWorker(app, **options)
    async with app, asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        group.create_task(worker.work())
        try:
            yield worker
        finally:
            worker.stop()


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_a_worker_runs_the_async_tasks(app: App) -> None:
    @app.task
    async def waits() -> None: ...

    @app.task
    def plain() -> None: ...

    assert AsyncTaskWorker(app).functions == ["waits"]
    with pytest.raises(ValueError, match="the task plain is a plain function"):
        AsyncTaskWorker(app, ["plain"])
    with pytest.raises(AttributeError, match="has no attribute 'Other'"):
        _ = gearman.tasks.Other


def test_jobs_run_at_once_with_their_own_current_job(app: App) -> None:
    everybody = asyncio.Event()
    here: list[str] = []

    @app.task
    async def meet(number: int) -> list[Any]:
        here.append(app.current.handle)
        if len(here) == 20:
            everybody.set()
        await everybody.wait()
        return [number, app.current.handle]

    async def main() -> None:
        async with working(app):
            found = [each async for each in meet.amap(range(20))]
        assert [number for number, _ in found] == list(range(20))
        assert len({handle for _, handle in found}) == 20

    run(main)


def test_the_current_job_tells_of_itself(app: App) -> None:
    @app.task(retries=1, backoff="fixed:0")
    async def task() -> list[Any]:
        job = app.current
        job.progress(1, 2)
        job.data("part")
        job.warning("careful")
        attempt = await job.aattempt()
        if attempt == 1:
            raise Retry(reason="once more")
        return [attempt, job.cancelled]

    async def main() -> None:
        async with working(app):
            assert await task.acall() == [2, False]

    run(main)


def test_results_of_a_group_come_to_an_async_task(app: App) -> None:
    @app.task
    async def double(number: int) -> int:
        return 2 * number

    @app.task(keep=60)
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    async def main() -> None:
        async with working(app):
            group = await app.agroup(map(double.bind, range(4)))
            last = await group.athen(total)
            assert await last.aresult(DEADLINE) == 12

    run(main)


def test_a_job_that_nobody_wants_is_cancelled(app: App) -> None:
    told: list[BaseException | None] = []
    begun = asyncio.Event()

    @app.task
    async def forever() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def main() -> None:
        ended = asyncio.Event()

        def on_end(
            function: str, handle: str, seconds: float, error: BaseException | None
        ) -> None:
            told.append(error)
            ended.set()

        async with working(app, on_end=on_end):
            job = await forever.asubmit()
            await begun.wait()
            assert await job.acancel()
            await ended.wait()
        assert [type(error) for error in told] == [asyncio.CancelledError]

    run(main)


def test_a_worker_ends_after_max_jobs(app: App) -> None:
    @app.task
    async def task(number: int) -> int:
        return 1 // number

    async def main() -> None:
        async with app, asyncio.timeout(DEADLINE):
            worker = AsyncTaskWorker(app, max_jobs=2, concurrency=1, client_id="two")
            work = asyncio.create_task(worker.work())
            assert await task.acall(1) == 1
            with pytest.raises(JobFailed):
                await task.acall(0)
            assert await work == 2

    run(main)


def test_a_worker_tells_whether_it_is_connected(app: App) -> None:
    @app.task
    async def task() -> int:
        return 1

    async def main() -> None:
        async with working(app) as worker:
            assert not worker.connected
            assert await task.acall() == 1
            assert worker.connected

    run(main)


def test_a_worker_is_connected_once_a_server_has_its_functions() -> None:
    async def main() -> None:
        async with scripted() as script:
            app = App(script.address)

            @app.task
            async def task() -> None: ...

            async with working(app) as worker:
                talk = await script.accept("SET_CLIENT_ID", "CAN_DO", "OPTION_REQ")
                assert not worker.connected
                talk.send("OPTION_RES", b"extensions")
                await soon(lambda: worker.connected)

    run(main)
