"""Groups: results together, one by one, and a last job after all."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from gearman.errors import OptionError, ResultNotReady, UnknownJob
from gearman.tasks import App, JobFailed
from tests import servers
from tests.servers import DEADLINE, Server
from tests.tasks.stage import working


@pytest.fixture(params=[False, True], ids=["server", "eager"])
def run(request: pytest.FixtureRequest, app: App) -> App:
    app.eager = request.param
    return app


@pytest.fixture
def two(server: Server) -> Iterator[App]:
    """An app with two servers."""
    with servers.ours() as other, App(server.address, other.address) as app:
        yield app


def test_results_of_a_group_are_in_its_order(run: App) -> None:
    @run.task
    def double(number: int) -> int:
        return 2 * number

    with working(run):
        group = run.group(double.bind(number) for number in range(3))
        assert group.results(wait=DEADLINE) == [0, 2, 4]
        assert len(group) == 3
        assert [job.result() for job in group] == [0, 2, 4]
        assert group.cancel() == 0
        assert len(list(group.completed())) == 3
    assert double.options == {}


def test_the_last_job_gets_the_results(run: App) -> None:
    @run.task(keep=60)
    def double(number: int) -> int:
        return 2 * number

    @run.task(keep=60)
    def total(numbers: list[int], start: int, *, sign: int = 1) -> int:
        return sign * (start + sum(numbers))

    with working(run):
        group = run.group(map(double.bind, range(4)))
        last = group.then(total, 100, sign=-1)
        assert last.result(wait=DEADLINE) == -112


def test_the_last_job_fails_with_one_of_the_others(run: App) -> None:
    @run.task
    def divide(number: int) -> float:
        return 1 / number

    @run.task(keep=60)
    def total(numbers: list[float]) -> float:
        return sum(numbers)

    with working(run):
        group = run.group([divide.bind(1), divide.bind(0)])
        last = group.then(total)
        with pytest.raises(JobFailed, match="ZeroDivisionError"):
            last.result(wait=DEADLINE)
        with pytest.raises(JobFailed):
            group.results(wait=DEADLINE)


def test_the_last_job_must_fit(app: App) -> None:
    @app.task
    def raw(data: bytes) -> bytes:
        return data

    @app.task
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    app.eager = True
    group = app.group([raw.bind(b"a")])
    with pytest.raises(TypeError, match="total takes results as json, not as bytes"):
        group.then(total)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="missing 1 required|takes 1 positional"):
        app.group([]).then(total, 1)


def test_jobs_are_yielded_as_they_end(app: App) -> None:
    hold = threading.Event()

    @app.task
    def wait(number: int) -> int:
        if number == 0:
            hold.wait(DEADLINE)
        return number

    with working(app), working(app):
        group = app.group(map(wait.bind, range(3)))
        ended = []
        for job in group.completed():
            ended.append(job)
            if len(ended) == 2:
                hold.set()
        assert ended[-1] == group.jobs[0]
        assert set(ended) == set(group.jobs)


def test_jobs_that_do_not_end_in_time(app: App) -> None:
    @app.task
    def nobody() -> None: ...

    group = app.group([nobody.bind()])
    with pytest.raises(ResultNotReady):
        list(group.completed(wait=0.01))
    with pytest.raises(ResultNotReady):
        group.results(wait=0)
    assert group.cancel() == 1


def test_a_group_is_on_one_server(two: App) -> None:
    @two.task
    def task(number: int) -> int:
        return number

    @two.task(keep=60)
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    group = two.group(map(task.bind, range(20)))
    (server,) = {job.server for job in group}
    last = group.then(total)
    assert last.server == server
    with working(two):
        assert last.result(wait=DEADLINE) == 190
        assert task.job(group.jobs[3].handle).result(wait=DEADLINE) == 3


def test_jobs_of_two_servers_cannot_be_waited_for(two: App) -> None:
    @two.task
    def task(number: int = 0) -> None: ...

    jobs = task.submit_many(range(40))
    assert len({job.server for job in jobs}) == 2
    with pytest.raises(OptionError, match="after must be jobs of one server"):
        task.with_options(after=jobs)
    with working(two):
        for job in jobs:
            servers.until(lambda job=job: not job.status().known)  # type: ignore[misc]


def test_results_are_waited_for_without_limit(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.tasks.calling.blocking._LONG", 0.01)
    hold = threading.Event()

    @app.task(keep=60)
    def task() -> int:
        hold.wait(DEADLINE)
        return 1

    job = task.submit()
    timer = threading.Timer(0.1, hold.set)
    timer.start()
    with working(app):
        assert job.result() == 1
    timer.join()


def test_groups_for_asyncio(run: App) -> None:
    @run.task
    def double(number: int) -> int:
        if number == 9:
            raise ValueError
        return 2 * number

    @run.task(keep=60)
    def total(numbers: list[int], start: int) -> int:
        return start + sum(numbers)

    async def main() -> None:
        async with run:
            group = await run.agroup(map(double.bind, range(3)))
            assert await group.aresults(wait=DEADLINE) == [0, 2, 4]
            last = await group.athen(total, 1)
            assert await last.aresult(wait=DEADLINE) == 7
            found = [job async for job in group.acompleted()]
            assert set(found) == set(group.jobs)
            failed = await run.agroup([double.bind(9)])
            assert [job async for job in failed.acompleted()] == failed.jobs

    with working(run):
        asyncio.run(main())


def test_groups_for_asyncio_on_two_servers(two: App) -> None:
    @two.task
    def task(number: int) -> int:
        return number

    @two.task(keep=60)
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    async def main() -> None:
        async with two:
            group = await two.agroup(map(task.bind, range(10)))
            alone = await two.agroup([task.bind(5)])
            assert len({job.server for job in group}) == 1
            for _ in range(3):
                again = await two.agroup(map(task.bind, range(10)))
                assert len({job.server for job in again}) == 1
            last = await group.athen(total)
            assert last.server == group.jobs[0].server
            assert await last.aresult(DEADLINE) == 45
            assert await alone.aresults(DEADLINE) == [5]
            with pytest.raises(ResultNotReady):
                async for _ in Waiting(two).group.acompleted(wait=0.01):
                    pass

    with working(two):
        asyncio.run(main())


class Waiting:
    """A group whose job nobody runs."""

    def __init__(self, app: App) -> None:
        @app.task
        def nobody() -> None: ...

        self.group = app.group([nobody.bind()])


def test_unknown_jobs_have_ended(app: App) -> None:
    @app.task(keep=0)
    def task() -> None: ...

    with working(app):
        group = app.group([task.bind()])
        assert list(group.completed(wait=DEADLINE)) == group.jobs
        with pytest.raises(UnknownJob):
            group.results()
