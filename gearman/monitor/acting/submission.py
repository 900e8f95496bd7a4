"""Submitting one background job by hand."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...client import GearmanClient
from ...errors import GearmanError
from ..reading.link import PATIENCE, Refused, Target

_PRIORITIES = {"high": "HIGH", "normal": None, "low": "LOW"}


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job; `options` are keys of job options, such as retries."""

    function: bytes
    workload: bytes = b""
    unique: bytes = b""
    priority: str = "normal"
    options: Mapping[str, object] = field(default_factory=dict)


async def submit(target: Target, job: NewJob) -> str:
    """Submit a background job, and return its handle.

    Raises Refused with a sentence, also if the server can't be reached.
    """
    return await asyncio.to_thread(_submit, target, job)


def _submit(target: Target, job: NewJob) -> str:
    try:
        with GearmanClient(
            [target.address],
            connect_timeout=PATIENCE,
            read_timeout=PATIENCE,
            ssl_context=target.tls,
        ) as client:
            request = client.submit_job(
                job.function,
                job.workload,
                # Without one, the library makes one.
                unique=job.unique or None,
                priority=_PRIORITIES[job.priority],
                background=True,
                poll_timeout=PATIENCE,
                options=dict(job.options),
            )
    except (GearmanError, ValueError, OSError) as error:
        raise Refused(str(error)) from error
    handle = request.job.handle
    if request.timed_out or not handle:
        raise Refused("the server did not accept the job in time")
    return handle if isinstance(handle, str) else handle.decode(errors="replace")
