"""Makes requests from the descriptions of jobs."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ..client_core.steered import steer
from ..constants import PRIORITY_NONE
from ..job import GearmanJob, GearmanJobRequest
from .uniques import random_unique

# A description without options has the task and the data.
_LEAST = 2


class Classes(Protocol):
    """What is needed of a client to make requests."""

    job_class: type[GearmanJob]
    job_request_class: type[GearmanJobRequest]
    random_unique_bytes: int


def requests_of(
    client: Classes,
    infos: Iterable[Mapping[str, Any]],
    background: bool,
    max_retries: int,
) -> list[GearmanJobRequest]:
    """Return requests for jobs, in their order.

    A job without a unique gets a random one. Raises KeyError for a description without
    `task` or `data`, and the errors of `steer` for options.
    """
    job_class, request_class = client.job_class, client.job_request_class
    random_bytes, attempts = client.random_unique_bytes, max_retries + 1
    requests = []
    # Keywords take half of the time; a class of the program may need them.
    usual = request_class is GearmanJobRequest
    for info in infos:
        unique = info.get("unique") or random_unique(random_bytes)
        job = job_class(None, None, info["task"], unique, info["data"])
        priority = info.get("priority", PRIORITY_NONE)
        if usual:
            request = request_class(job, priority, background, attempts)
        else:
            request = request_class(
                job,
                initial_priority=priority,
                background=background,
                max_attempts=attempts,
            )
        if len(info) > _LEAST:
            _add_options(request, info)
        requests.append(request)
    return requests


def _add_options(request: GearmanJobRequest, info: Mapping[str, Any]) -> None:
    if "when_to_run" in info or "reducer" in info:
        request.when_to_run = info.get("when_to_run")
        request.reducer = info.get("reducer")
    if info.get("options"):
        steer(request, info["options"])
