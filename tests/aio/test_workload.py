"""The workload of a job, by the admin client."""

import asyncio

import pytest

import gearman
from gearman import aio
from gearman.errors import ProtocolError
from gearman.server import embedded


def test_workload_of_a_job_is_shown() -> None:
    async def run(address: str, handle: str) -> None:
        async with aio.Admin(address) as admin:
            found = await admin.workload(handle)
            assert found == {"handle": handle, "size": 2, "workload": "ab"}
            with pytest.raises(ProtocolError, match="UNKNOWN_JOB"):
                await admin.workload("H:unknown:1")

    with embedded.server() as address:
        with gearman.GearmanClient([address]) as client:
            job = client.submit_job("f", "ab", background=True).job
        assert job.handle is not None
        asyncio.run(run(address, job.handle))
