"""What is submitted: a request from a function, a workload and options."""

import os
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from .. import errors
from ..blocking.options import NamedOptions
from ..client_core.steered import only_server, priority_of, steer, united
from ..constants import PRIORITY_NONE
from ..job import GearmanJob
from ..options import CommonOptions
from ..payload import as_bytes
from .job import Job
from .requests import Request

# A job of `submit_many`: function and workload, and its options if there are some.
Submission = (
    tuple[str, str | bytes] | tuple[str, str | bytes, Mapping[str, Any]] | tuple[str]
)


class SubmitOptions(CommonOptions, total=False):
    """Options of a job; see `gearman.options.CommonOptions`.

    priority: "high", "normal" or "low".
    at: seconds since the epoch before which the job may not start.
    after: jobs, or handles of jobs, of the same server that must have ended before.
    """

    priority: str | None
    at: float | None
    after: "Job | str | bytes | Sequence[Job | str | bytes] | None"


assert {*NamedOptions.__annotations__} < {*SubmitOptions.__annotations__}


class NotAccepted(errors.NotAccepted):
    """Some jobs of `submit_many` were not accepted; `problems` has the errors by place.

    `jobs` has the accepted ones in their places, and None in the places of others.
    """

    jobs: list[Job | None]

    def __init__(
        self, jobs: Sequence[Job | None], problems: Mapping[int, Exception]
    ) -> None:
        first = next(iter(problems.values()))
        text = f"{len(problems)} of {len(jobs)} jobs were not accepted"
        super().__init__(f"{text}; the first one: {first}", jobs)
        self.problems = dict(problems)


class Uniques:
    """Uniques that no other job has: a random one, and a number."""

    def __init__(self) -> None:
        self._start = os.urandom(12).hex()
        self._numbers = count(1)

    def __call__(self) -> str:
        return f"{self._start}-{next(self._numbers):x}"


def request_of(
    uniques: Uniques,
    function: str,
    workload: str | bytes,
    unique: str | bytes | None,
    background: bool,
    options: Mapping[str, Any],
) -> Request:
    """Make a request. Raises OptionError, and TypeError for an unknown option."""
    own = unique is None
    job = GearmanJob(None, None, function, uniques() if own else unique, workload)
    if type(workload) is not bytes:
        job.data = as_bytes(workload)
    request = Request(job, PRIORITY_NONE, background)
    request.own = own
    if options:
        _set_options(request, dict(options))
    return request


def _set_options(request: Request, options: dict[str, Any]) -> None:
    request.priority = priority_of(options.pop("priority", None))
    bound = None
    if "after" in options:
        options["after"], bound = _after(options["after"])
    named = united(None, options)
    if named:
        steer(request, named)
    if bound is not None:
        request.bound_to = bound


def _after(after: Any) -> tuple[Any, Any]:
    """Return the handles of jobs, and their server if one of them knows it."""
    if after is None:
        return None, None
    jobs = [after] if isinstance(after, Job | str | bytes) else list(after)
    servers = {each.server for each in jobs if isinstance(each, Job)} - {None}
    handles = [each.handle if isinstance(each, Job) else each for each in jobs]
    return handles, only_server(servers)
