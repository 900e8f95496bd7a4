"""The options of a task's jobs: as keyword arguments, and as values for the client."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from ..client_core.steered import only_server, priority_of
from ..options import CommonOptions, JobOptions, job_options

Address = tuple[str, int]


@runtime_checkable
class SubmittedJob(Protocol):
    """What is needed of a Job."""

    handle: str

    @property
    def server(self) -> Address | None:
        """Host and port of its server, if that is known."""


Priority = Literal["high", "normal", "low"]
After = str | SubmittedJob


class TaskOptions(CommonOptions, total=False):
    """Options of jobs; see `gearman.options.CommonOptions`. None is not set.

    priority: of the jobs that wait for the same workers.
    at: the time before which the job may not start: a datetime, or seconds since the
        epoch.
    timeout: workers announce it, too.
    after: jobs, or their handles, that must have ended before.
    unique: up to 64 bytes; while a job with it waits or runs, others join it.
    """

    priority: Priority | None
    at: float | datetime | None
    after: After | Collection[After] | None
    unique: str | None


NAMES = frozenset(TaskOptions.__annotations__)


@dataclass(frozen=True, slots=True)
class Steering:
    """Options as the client takes them. `options` is None if none is set.

    With a `server`, that is the only one that may get the job.
    """

    options: JobOptions | None
    priority: str | None
    unique: str | None
    server: Address | None = None


def steering(given: Mapping[str, Any]) -> Steering:
    """Return checked options. Raises OptionError, or TypeError for a wrong name."""
    for name in given:
        if name not in NAMES:
            raise TypeError(f"{name!r} is no option of a task")
    values = {name: each for name, each in given.items() if each is not None}
    priority = priority_of(values.pop("priority", None))
    unique = values.pop("unique", None)
    if isinstance(values.get("at"), datetime):
        values["at"] = values["at"].timestamp()
    server = None
    if "after" in values:
        jobs = _listed(values["after"])
        # A job whose server is not known may be on any.
        known = {job.server for job in jobs if isinstance(job, SubmittedJob)} - {None}
        server = only_server(known)
        values["after"] = [
            job.handle if isinstance(job, SubmittedJob) else job for job in jobs
        ]
    options = job_options(values) if values else None
    return Steering(options, priority, unique, server)


def _listed(after: After | Collection[After]) -> Collection[After]:
    return [after] if isinstance(after, str | SubmittedJob) else after
