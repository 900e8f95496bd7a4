"""Apps, their workers, and the tools learn of the servers of a cluster."""

import asyncio
from collections.abc import Iterator

import pytest

from gearman.cli.gearman.worker import Worker
from gearman.cli.options import parse
from gearman.tasks import App, AsyncTaskWorker, TaskWorker
from gearman.tasks.runner import loading
from gearman.tasks.runner.options import parse as parse_runner
from tests.client.stage import working as at_work
from tests.members import Member, members
from tests.servers import DEADLINE, until

from .stage import working


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Member]]:
    """Servers that may take their time to answer."""
    monkeypatch.setattr("gearman.aio.discovery.PATIENCE", DEADLINE)
    monkeypatch.setattr("gearman.blocking.servers.discovery.PATIENCE", DEADLINE)
    with members(3) as running:
        yield running


@pytest.fixture
def app(three: list[Member]) -> Iterator[App]:
    with App(three[0].address, discover=True) as made:

        @made.task
        def plain() -> None: ...

        @made.task(serializer="bytes")
        async def other(data: bytes) -> bytes:
            return data

        yield made


def test_jobs_of_an_app_go_to_all_servers(app: App, three: list[Member]) -> None:
    for _ in range(50):
        app.tasks["plain"].submit()
    assert all("SUBMIT_JOB_BG" in each.names for each in three)


def test_a_group_is_on_one_server(app: App, three: list[Member]) -> None:
    app.group(app.tasks["plain"].bind() for _ in range(20))
    assert sum(any("SUBMIT" in name for name in each.names) for each in three) == 1


def test_groups_and_jobs_of_an_event_loop_too(app: App, three: list[Member]) -> None:
    async def main() -> None:
        async with app:
            await app.agroup(app.tasks["plain"].bind() for _ in range(20))
            submitted = [any("SUBMIT" in n for n in each.names) for each in three]
            assert submitted.count(True) == 1
            client = app.acalling.client  # type: ignore[union-attr]
            while len(client.servers) < 3:
                await asyncio.sleep(0.001)
            for _ in range(50):
                await app.tasks["plain"].asubmit()

    asyncio.run(main())
    assert all(any("SUBMIT" in name for name in each.names) for each in three)


def test_workers_are_connected_to_all_servers(app: App, three: list[Member]) -> None:
    with working(app, functions=["plain"]) as worker:
        assert isinstance(worker, TaskWorker)
        until(lambda: all("PRE_SLEEP" in each.names for each in three))


def test_workers_of_async_tasks_too(app: App, three: list[Member]) -> None:
    async def main() -> None:
        worker = AsyncTaskWorker(app)
        work = asyncio.create_task(worker.work())
        while not all("PRE_SLEEP" in each.names for each in three):
            await asyncio.sleep(0.001)
        worker.stop()
        await work

    asyncio.run(main())


def test_the_runner_has_an_app_that_discovers() -> None:
    words = ["--task", "wc=wc -l", "--servers", "localhost"]
    assert not loading.load(parse_runner(words)).discover
    assert loading.load(parse_runner([*words, "--discover"])).discover


def test_the_tool_is_connected_to_all_servers(three: list[Member]) -> None:
    options = parse(["-w", "-f", "f", "--discover"])
    with at_work(Worker([("127.0.0.1", three[0].port)], options)):
        until(lambda: all("PRE_SLEEP" in each.names for each in three))
