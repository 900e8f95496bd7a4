"""Tasks are called, submitted and mapped by asyncio."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, cast

import pytest

from gearman.errors import NotAccepted, ResultNotReady
from gearman.tasks import App, JobFailed
from gearman.tasks.middleware import Middleware
from tests.aio.stage import soon
from tests.servers import DEADLINE, Server
from tests.tasks.stage import working


@pytest.fixture(params=[False, True], ids=["server", "eager"])
def run(request: pytest.FixtureRequest, app: App) -> App:
    app.eager = request.param
    return app


def awaited(app: App, main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine while a worker of the app works."""

    async def inside() -> None:
        async with app:
            await main

    with working(app):
        asyncio.run(inside())


def test_a_call_is_awaited(run: App) -> None:
    @run.task(priority="high")
    def divide(a: int, b: int = 2) -> float:
        return a / b

    async def main() -> None:
        assert await divide.acall(1) == 0.5
        assert await divide.acall(3, b=1) == 3.0
        with pytest.raises(JobFailed, match="ZeroDivisionError"):
            await divide.acall(1, 0)
        with pytest.raises(TypeError, match="missing 1 required"):
            await divide.acall()  # type: ignore[call-arg]

    awaited(run, main())


def test_a_job_is_submitted_and_asked_for(run: App) -> None:
    @run.task(keep=60)
    def double(number: int) -> int:
        return 2 * number

    @run.task(keep=60)
    def text(number: int) -> str:
        return str(number)

    async def main() -> None:
        job = await double.asubmit(4)
        assert await job.aresult(wait=DEADLINE) == 8
        assert not (await job.astatus()).known
        assert not await job.acancel()
        jobs = await double.asubmit_many(range(3))
        assert [await job.aresult() for job in jobs] == [0, 2, 4]
        mixed = await run.asubmit([double.bind(1), text.bind(2)])
        assert [await job.aresult() for job in mixed] == [2, "2"]

    awaited(run, main())


def test_a_map_yields_in_order(run: App) -> None:
    @run.task
    def double(number: int) -> int:
        return 2 * number

    async def main() -> None:
        found = [each async for each in double.amap(range(30), concurrency=4)]
        assert found == list(range(0, 60, 2))
        assert [each async for each in double.amap([])] == []

    awaited(run, main())


async def coming(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


def test_a_map_takes_items_as_they_come(run: App) -> None:
    @run.task
    def power(base: int, exponent: int = 2) -> int:
        return int(base**exponent)

    async def main() -> None:
        found = [each async for each in power.amap(coming(1, 2, 3), concurrency=2)]
        assert found == [1, 4, 9]
        assert [each async for each in power.amap(coming())] == []
        found = [each async for each in power.amap([2, 3], coming(3, 4))]
        assert found == [8, 81]
        with pytest.raises(ValueError, match="different lengths"):
            [each async for each in power.amap(coming(1), [1, 2])]

    awaited(run, main())


def test_a_map_yields_while_items_are_awaited(app: App) -> None:
    @app.task
    def double(number: int) -> int:
        return 2 * number

    async def items(seen: list[int]) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
            # The results come while nothing more does.
            await asyncio.Event().wait()
        finally:
            seen.append(1)

    async def main() -> None:
        seen: list[int] = []
        results = cast("AsyncGenerator[int]", double.amap(items(seen)))
        assert [await anext(results), await anext(results)] == [2, 4]
        await results.aclose()
        assert seen == [1]
        with pytest.raises(ValueError, match="concurrency is at least 1"):
            await anext(double.amap(items(seen), concurrency=0))

    awaited(app, main())


def test_a_map_with_middleware(server: Server) -> None:
    class Keeping(Middleware):
        pass

    app = App(server.address, middleware=[Keeping()])

    @app.task(name="double with middleware")
    def double(number: int) -> int:
        if number == 5:
            raise ValueError(number)
        return 2 * number

    async def main() -> None:
        found = [each async for each in double.amap(range(5), concurrency=2)]
        assert found == [0, 2, 4, 6, 8]
        numbers = double.amap(range(5, 9), concurrency=8)
        with pytest.raises(JobFailed):
            await anext(numbers)

    awaited(app, main())
    app.close()


def test_a_job_of_asyncio_may_be_asked_for_elsewhere(app: App) -> None:
    @app.task(keep=60)
    def task() -> int:
        return 1

    async def main() -> None:
        job = await task.with_options(unique="mine").asubmit()
        assert job.unique == "mine"
        assert job.server is not None
        assert await asyncio.to_thread(job.result, DEADLINE) == 1
        later = await asyncio.to_thread(task.with_options(delay=60).submit)
        assert (await later.astatus()).known
        with pytest.raises(ResultNotReady):
            await later.aresult(wait=0)
        after = await task.with_options(after=later).asubmit()
        assert after.server == later.server
        assert await after.acancel()
        assert await asyncio.to_thread(later.cancel)

    awaited(app, main())


def test_refused_jobs_are_not_accepted(app: App) -> None:
    @app.task(need_worker=True)
    def nobody(number: int = 0) -> None: ...

    @app.task
    def limited(number: int) -> None: ...

    async def main() -> None:
        async with app:
            with pytest.raises(NotAccepted, match="the job was not accepted"):
                await nobody.asubmit()
            with pytest.raises(NotAccepted, match="the job was not accepted"):
                await nobody.acall()
            with pytest.raises(NotAccepted, match="1 of 3") as found:
                await limited.asubmit_many(range(3))
            tasks = [job and job.task for job in found.value.jobs]
            assert tasks == [limited, limited, None]

    with app.admin(app.addresses[0]) as admin:
        admin.set_function("limited", max_queue=2)
        asyncio.run(main())
        admin.purge_function("limited")
        admin.unset_function("limited")


def test_a_cancelled_call_cancels_its_job(app: App) -> None:
    @app.task
    def nobody() -> None: ...

    def jobs() -> Any:
        with app.admin(app.addresses[0]) as admin:
            return admin.list_jobs(task="nobody")

    async def main() -> None:
        async with app:
            call = asyncio.create_task(nobody.acall())
            await soon(jobs)
            call.cancel()
            await asyncio.wait([call])
            await soon(lambda: not jobs())

    asyncio.run(main())


def test_an_async_task_runs_in_place(app: App) -> None:
    app.eager = True

    @app.task(retries=1)
    async def task(number: int) -> int:
        await asyncio.sleep(0)
        if number == 3 and app.current.attempt == 1:
            raise ValueError
        return number

    async def main() -> None:
        async with app:
            assert await task.acall(3) == 3
            assert await task(number=4) == 4

    with pytest.raises(JobFailed):
        task.with_options(retries=0).call(3)
    asyncio.run(main())
