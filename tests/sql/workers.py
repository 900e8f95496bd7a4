"""A worker for SQL functions that wait for results."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gearman
from tests.client.stage import working


def slow(worker: Any, job: Any) -> bytes:
    time.sleep(float(job.data))
    return b"done"


def fail(worker: Any, job: Any) -> None:
    worker.send_job_failure(job)


def odd(worker: Any, job: Any) -> bytes | None:
    """Fail with an exception if the number is even."""
    if int(job.data) % 2:
        return bytes(job.data)
    worker.send_job_exception(job, b"an even number")
    return None


def strange(worker: Any, job: Any) -> None:
    worker.send_job_exception(job, b"\xc3\xa4\xff\xe2\x82\xac\n\x01\xe2")


def pieces(worker: Any, job: Any) -> bytes:
    """Send the workload in three pieces, with other packets between."""
    data = job.data
    worker.send_job_data(job, data[:2])
    worker.send_job_status(job, 1, 2)
    worker.send_job_data(job, data[2:3])
    worker.send_job_warning(job, b"careful")
    return bytes(data[3:])


# The workloads of jobs of the function `keep`.
KEPT: list[bytes] = []


def keep(worker: Any, job: Any) -> bytes:
    KEPT.append(job.data)
    return b""


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "reverse": lambda worker, job: job.data[::-1],
    "echo": lambda worker, job: job.data,
    "bytes": lambda worker, job: bytes.fromhex(job.data.decode()),
    "length": lambda worker, job: b" %d\n" % len(job.data),
    "unique": lambda worker, job: job.unique,
    "slow": slow,
    "fail": fail,
    "odd": odd,
    "strange": strange,
    "pieces": pieces,
    "keep": keep,
}


@contextmanager
def worker(address: str | dict[str, Any]) -> Iterator[None]:
    """Run the functions in a thread."""
    with gearman.GearmanWorker([address]) as worker:
        for name, function in FUNCTIONS.items():
            worker.register_task(name, function)
        with working(worker):
            yield
