"""The servers are those of `tests/client`, one of which has `mark.interop`."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import gearman
from tests.aio.stage import pending
from tests.client.conftest import server, task
from tests.client.stage import working
from tests.servers import Server, until

__all__ = ["server", "task"]


@pytest.fixture(scope="module", autouse=True)
def known() -> list[asyncio.Future[Any]]:
    """The pending futures that tests of other modules have left."""
    return pending()


@pytest.fixture
def echo(server: Server, task: str) -> Iterator[str]:
    """The name of a task whose worker returns the workload, or fails for `fail`."""

    def answer(worker: gearman.GearmanWorker, job: gearman.GearmanJob) -> bytes:
        if job.data == b"fail":
            raise ValueError("as the client wants it")
        worker.send_job_status(job, 1, 2)
        worker.send_job_data(job, b"part")
        worker.send_job_warning(job, b"warning")
        data: bytes = job.data
        return data

    with gearman.GearmanWorker([server.address], report_exceptions=True) as worker:
        worker.register_task(task, answer)
        with working(worker), gearman.GearmanAdminClient([server.address]) as admin:
            until(lambda: task in [row["task"] for row in admin.get_status()])
            yield task
