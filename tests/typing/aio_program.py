"""A program that uses each public method of `gearman.aio`; see `program.py`."""

import ssl
from collections.abc import AsyncIterator
from typing import Any, assert_type

from gearman.admin_client_handler import (
    ConnectedPeer,
    KnownJob,
    KnownUnique,
    TaskPriorities,
    TaskStatus,
)
from gearman.aio import (
    Admin,
    Client,
    Data,
    Job,
    Keepalive,
    NotAccepted,
    Progress,
    RunningJob,
    Status,
    Warned,
    Worker,
)
from gearman.client_core.steering import DeadJob, FunctionPolicy, JobRecord
from gearman.client_core.steering import KnownSchedule as Schedule
from gearman.job import UniqueStatus


async def workloads() -> AsyncIterator[bytes]:
    yield b"a"


async def of_client(context: ssl.SSLContext) -> None:
    client = Client("a:4730", "unix:/run/g", tls=context, keepalive=Keepalive(idle=9))
    assert_type(await client.call("f", b"x", unique="u", retries=3, ttl=60), bytes)
    job = await client.submit("f", "x", background=False, delay=1.5, priority="high")
    assert_type(job, Job)
    jobs = await client.submit_many([("f", "x"), ("f", b"x", {"retries": 5})])
    assert_type(jobs, list[Job])
    await client.call("f", after=jobs)
    async for result in client.map("f", ["a", "b"], concurrency=5, timeout=60):
        assert_type(result, bytes)
    results = client.map("f", [b"a"])
    results = client.map("f", workloads())
    await results.aclose()
    results.close()
    assert_type(client.job("H:1"), Job)
    assert_type(await client.unique_status("u"), UniqueStatus)
    await client.close()
    async with Client(tls=True, consistent_hashing=True, reconnect=True) as other:
        await of_job(await other.submit("f"))


async def of_job(job: Job) -> None:
    assert_type(job.handle, str)
    assert_type(job.function, str)
    assert_type(job.unique, str)
    assert_type(await job.status(), Status)
    assert_type(await job.result(wait=5), bytes)
    assert_type(await job.cancel(), bool)
    async for update in job.updates():
        match update:
            case Data(data) | Warned(data):
                assert_type(data, bytes)
            case Progress(numerator, denominator):
                assert_type(numerator + denominator, int)


def of_error(error: NotAccepted) -> None:
    assert_type(error.jobs, list[Job | None])
    assert_type(error.problems, dict[int, Exception])


async def run(job: RunningJob) -> bytes:
    assert_type(job.workload, bytes)
    assert_type(job.handle + job.function + job.unique, str)
    assert_type(job.cancelled, bool)
    assert_type(job.attempt, int | None)
    await job.drain()
    return job.workload


def run_in_thread(job: RunningJob) -> str | None:
    job.send_data(b"part")
    job.send_warning("careful")
    job.send_status(1, 2.5)
    return None


async def of_worker() -> None:
    worker = Worker("a", concurrency=5, client_id="me", report_exceptions=False)
    worker.register("f", run, timeout=5, cancel=True)
    worker.register("g", run_in_thread)
    assert_type(worker.timeouts(), list[tuple[str, float | None]])
    await worker.work()
    worker.stop()


async def of_admin() -> None:
    async with Admin("a:4730", timeout=None) as admin:
        assert_type(await admin.ping(), float)
        for line in (
            *(await admin.version(), await admin.pid(), await admin.verbosity()),
            *(await admin.maxqueue("f", 5), await admin.cancel_job("H:1")),
            *(await admin.create_function("f"), await admin.drop_function(b"f")),
            *(
                await admin.set_function("f", retries=3),
                await admin.unset_function("f"),
            ),
            *(await admin.pause_function("f"), await admin.resume_function("f")),
            *(await admin.retry_job("H:1"), await admin.forget_job("H:1")),
            *(await admin.run_schedule("s"), await admin.pause_schedule("s")),
            await admin.resume_schedule("s"),
            await admin.set_schedule("s", "@daily", "f", workload=b"w"),
            await admin.unset_schedule("s"),
        ):
            assert_type(line, str)
        assert_type(await admin.purge_function("f"), int)
        assert_type(await admin.retry_function("f"), int)
        assert_type(await admin.forget_function("f"), int)
        assert_type(await admin.workers(), tuple[ConnectedPeer, ...])
        assert_type(await admin.status(), tuple[TaskStatus, ...])
        assert_type(await admin.priority_status(), tuple[TaskPriorities, ...])
        assert_type(await admin.stats(), tuple[dict[str, Any], ...])
        assert_type(await admin.cluster(), tuple[dict[str, Any], ...])
        assert_type((await admin.workload("H:1"))["size"], int)
        assert_type(await admin.policies(), tuple[FunctionPolicy, ...])
        assert_type(await admin.schedules(), tuple[Schedule, ...])
        assert_type(await admin.dead_jobs(), tuple[DeadJob, ...])
        assert_type(await admin.jobs(), tuple[KnownJob, ...])
        assert_type(await admin.unique_jobs(), tuple[KnownUnique, ...])
        assert_type(await admin.job("H:1"), JobRecord)
        assert_type(await admin.list_jobs("f", limit=5), tuple[JobRecord, ...])
        await admin.shutdown(graceful=False)
        await admin.close()
