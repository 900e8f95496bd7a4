"""A program that uses each public method of tasks, and says what it returns.

It is not run: mypy and pyright check it, as the program of a user. Where a line has a
`type: ignore`, both must report a mistake: they report an unnecessary one, too.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from logging import Logger, LoggerAdapter
from typing import Any, assert_type

import gearman
from gearman.tasks import (
    App,
    AsyncTaskWorker,
    Call,
    CurrentJob,
    Group,
    Job,
    Middleware,
    Retry,
    Schedule,
    Status,
    Task,
    TaskWorker,
)


class Timing(Middleware):
    def submitting(self, call: Call[Any]) -> Call[Any]:
        assert_type(call.workload, bytes)
        return Call(call.task.with_options(priority="low"), call.workload)

    def running(self, job: CurrentJob) -> AbstractContextManager[object]:
        return nullcontext()


app = App(
    "localhost:4730",
    eager=False,
    middleware=[Timing()],
    tls=ssl.create_default_context(),
    connect_timeout=5.0,
    read_timeout=None,
)


@dataclass
class Picture:
    path: str
    width: int = 800


@app.task
def resize(path: str, width: int = 800) -> Picture:
    return Picture(path, width)


@app.task(
    name="total",
    serializer="json",
    schedule=Schedule("0 3 * * *", timezone="Europe/Berlin", args=([],)),
    priority="high",
    at=datetime(2030, 1, 1),
    delay=1.5,
    ttl=60,
    timeout=60,
    retries=5,
    backoff="fixed:10",
    keep=3600,
    dead="list",
    need_worker=True,
    unique="total",
    trace=None,
)
def total(pictures: list[Picture], extra: int = 0) -> int:
    return extra + sum(picture.width for picture in pictures)


@app.task(schedule="@daily")
async def fetch(url: str) -> bytes:
    job = app.current
    assert_type(job, CurrentJob)
    assert_type(job.handle, str)
    assert_type(job.unique, str | None)
    assert_type(job.function, str)
    assert_type(job.task, Task[..., Any])
    assert_type(job.started, float)
    assert_type(job.deadline, float | None)
    assert_type(job.attempt, int | None)
    assert_type(await job.aattempt(), int | None)
    assert_type(job.cancelled, bool)
    assert_type(job.log, LoggerAdapter[Logger])
    job.progress(1, 2)
    job.data("part")
    job.warning(b"careful")
    if job.cancelled:
        raise Retry(60.0, "busy", counts=False)
    return url.encode()


@app.task
def ping() -> None: ...


def call() -> None:
    waiting: Coroutine[Any, Any, bytes] = fetch("a")
    waiting.close()
    assert_type(resize("a.jpg"), Picture)
    assert_type(resize("a.jpg", width=3), Picture)
    assert_type(resize.call("a.jpg", 3), Picture)
    assert_type(fetch.call("a"), bytes)
    assert_type(fetch.is_async, bool)
    assert_type(resize.name, str)
    assert_type(resize.timeout, float | None)
    assert_type(resize.app, App)
    job = resize.with_options(delay=5, after=["H:1"]).submit("a.jpg", width=1)
    assert_type(job, Job[Picture])
    assert_type(job.result(wait=5), Picture)
    assert_type(job.status(), Status)
    assert_type(job.status().running, bool)
    assert_type(job.cancel(), bool)
    assert_type(job.handle, str)
    assert_type(job.unique, str | None)
    assert_type(job.server, tuple[str, int] | None)
    assert_type(resize.job(job.handle), Job[Picture])
    assert_type(job.task, Task[..., Picture])
    assert_type(job.task.with_options(delay=5).submit("b.jpg"), Job[Picture])
    assert_type(fetch.app, App)
    assert_type(fetch.bind("a").task, Task[..., bytes])
    assert_type(resize.map(["a.jpg"], [1], concurrency=5), Iterator[Picture])
    assert_type(resize.submit_many(["a.jpg", "b.jpg"]), list[Job[Picture]])
    assert_type(resize.bind("a.jpg"), Call[Picture])
    assert_type(app.submit([resize.bind("a"), resize.bind("b")]), list[Job[Picture]])
    group = app.group(resize.bind(path) for path in ("a", "b"))
    assert_type(group, Group[Picture])
    assert_type(group.results(wait=5), list[Picture])
    assert_type(group.completed(wait=5), Iterator[Job[Picture]])
    assert_type(group.then(total, 5), Job[int])
    assert_type(group.cancel(), int)
    assert_type(group.jobs, list[Job[Picture]])


async def words() -> AsyncIterator[str]:
    yield "a"


async def numbers() -> AsyncIterator[int]:
    yield 1


async def call_async() -> None:
    async with app:
        assert_type(await fetch("a"), bytes)
        assert_type(await fetch.acall("a"), bytes)
        assert_type(await resize.acall("a", width=1), Picture)
        job = await resize.asubmit("a")
        assert_type(job, Job[Picture])
        assert_type(await job.aresult(wait=5), Picture)
        assert_type(await job.astatus(), Status)
        assert_type(await job.acancel(), bool)
        assert_type(fetch.amap(["a"], concurrency=2), AsyncIterator[bytes])
        assert_type(fetch.amap(words()), AsyncIterator[bytes])
        assert_type(await fetch.asubmit_many(["a"]), list[Job[bytes]])
        assert_type(await app.asubmit([fetch.bind("a")]), list[Job[bytes]])
        group = await app.agroup([resize.bind("a")])
        assert_type(group, Group[Picture])
        assert_type(await group.aresults(), list[Picture])
        assert_type(group.acompleted(), AsyncIterator[Job[Picture]])
        assert_type(await group.athen(total), Job[int])
    await app.aclose()


def mistakes() -> None:
    """Both type checkers report each of these."""
    resize(1)  # type: ignore[arg-type]
    resize("a", hight=1)  # type: ignore[call-arg]
    resize.call()  # type: ignore[call-arg]
    resize.call("a", "b")  # type: ignore[arg-type]
    resize.submit(b"a")  # type: ignore[arg-type]
    resize.bind("a", 1, 2)  # type: ignore[call-arg]
    resize.map([1])  # type: ignore[list-item]
    resize.submit_many([b"a"])  # type: ignore[list-item]
    resize.with_options(retry=3)  # type: ignore[call-arg]
    resize.with_options(priority="urgent")  # type: ignore[arg-type]
    app.task(retries="many")  # type: ignore[call-overload]
    app.task(serializer="yaml")  # type: ignore[call-overload]
    ping.submit(1)  # type: ignore[call-arg]
    app.group([ping.bind()]).then(total)  # type: ignore[arg-type]
    text: str = resize.call("a")  # type: ignore[assignment]
    print(text)


async def mistakes_async() -> None:
    """Both type checkers report each of these."""
    await fetch(1)  # type: ignore[arg-type]
    await fetch.acall(1)  # type: ignore[arg-type]
    await resize.asubmit(hight=1)  # type: ignore[call-arg]
    fetch.amap([1])  # type: ignore[list-item]
    fetch.amap(numbers())  # type: ignore[arg-type]


def takes_any_task(task: Task[[str], bytes]) -> bytes:
    return task.call("a")


def work() -> None:
    def on_start(function: str, handle: str) -> None: ...

    def on_end(
        function: str, handle: str, seconds: float, error: BaseException | None
    ) -> None: ...

    worker = TaskWorker(
        app,
        ["resize"],
        client_id="me",
        max_jobs=10,
        on_start=on_start,
        on_end=on_end,
    )
    assert_type(worker.functions, list[str])
    assert_type(worker.work(), int)
    worker.stop()


async def work_async() -> None:
    worker = AsyncTaskWorker(app, ["fetch"], concurrency=10, max_jobs=None)
    assert_type(worker.functions, list[str])
    assert_type(await worker.work(), int)
    worker.stop()


def look_at(app: App) -> None:
    assert_type(takes_any_task(fetch), bytes)
    assert_type(app.addresses, list[str])
    assert_type(app.tasks, dict[str, Task[..., Any]])
    assert_type(app.settings(), str)
    assert_type(app.register_schedules(), list[str])
    assert_type(app.client, gearman.GearmanClient)
    assert_type(app.admin("localhost"), gearman.GearmanAdminClient)
    app.addresses = ["localhost:4730"]
    app.eager = True
    with app:
        app.close()
