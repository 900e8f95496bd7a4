"""Submissions with options.

A server that has the extensions gets SUBMIT_JOB_WITH. Another one gets a packet of the
standard if that says the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from math import ceil
from typing import Any, Final, TypeVar

from ..address import format_address
from ..constants import PRIORITY_HIGH, PRIORITY_LOW, PRIORITY_NONE
from ..errors import InvalidClientState, OptionError, UnsupportedByServer
from ..job import Connection, GearmanJobRequest
from ..options import Dead, JobOptions, format_options, job_options
from ..protocol import (
    GEARMAN_COMMAND_SUBMIT_JOB_EPOCH,
    GEARMAN_COMMAND_SUBMIT_JOB_WITH,
    SUBMIT_COMMANDS,
)
from .submission import Arguments

_Server = TypeVar("_Server")

_PRIORITIES: Final = {PRIORITY_HIGH: 0, PRIORITY_NONE: None, PRIORITY_LOW: 2}
# By the names that options have.
_NAMED_PRIORITIES: Final = {
    "high": PRIORITY_HIGH,
    "normal": PRIORITY_NONE,
    "low": PRIORITY_LOW,
    None: PRIORITY_NONE,
}

# What any server does with a job.
_USUAL: Final = JobOptions(
    delay=0.0, retries=0, keep=0.0, dead=Dead("none"), after=(), need_worker=False
)
_TIMES: Final = ("at", "delay")
# These have arguments of their own.
_ELSEWHERE: Final = ("background", "priority")
# Only servers set it.
_OF_SERVERS: Final = "via"
NAMES: Final = frozenset(field.name for field in fields(JobOptions)) - {
    *(*_ELSEWHERE, _OF_SERVERS)
}


def united(
    options: Mapping[str, object] | JobOptions | None, named: Mapping[str, object]
) -> Mapping[str, object] | JobOptions | None:
    """Return the options of a mapping and of named arguments, which count more.

    Raises TypeError for a name that is no option. Values are checked by `steer`.
    """
    for name in named:
        if name not in NAMES:
            raise TypeError(f"submit_job() got an unexpected keyword argument {name!r}")
    more = {name: value for name, value in named.items() if value is not None}
    if not more:
        return options
    given = dict(_set(options)) if isinstance(options, JobOptions) else options or {}
    return {**{name.replace("-", "_"): each for name, each in given.items()}, **more}


def steer(
    request: GearmanJobRequest, options: Mapping[str, object] | JobOptions
) -> None:
    """Give a request its options, and the server of the jobs that it waits for.

    Raises what `checked` raises, and OptionError if these are on several servers.
    """
    request.options = checked(options)
    request.bound_to = only_server(
        job.job.connection
        for job in ([] if isinstance(options, JobOptions) else _after(options))
        if isinstance(job, GearmanJobRequest)
    )


def only_server(servers: Iterable[_Server]) -> _Server | None:
    """Return the server of the jobs that another one waits for; None if there are none.

    Raises OptionError if there are several.
    """
    found = {*servers}
    if len(found) > 1:
        raise OptionError("after must be jobs of one server, not of several")
    return found.pop() if found else None


def priority_of(name: object) -> str | None:
    """Return the priority of the option's value, None is normal. Raises OptionError."""
    if name not in _NAMED_PRIORITIES:
        raise OptionError(f"priority must be high, normal or low, not {name!r:.80}")
    return _NAMED_PRIORITIES[name]


def checked(options: Mapping[str, object] | JobOptions) -> JobOptions:
    """Return options as a value. Raises OptionError.

    In `after`, requests may stand for their handles; InvalidClientState is raised for
    a request without one.
    """
    if not isinstance(options, JobOptions):
        options = job_options(_with_handles(options))
    for name in _ELSEWHERE:
        if getattr(options, name) is not None:
            raise OptionError(
                f"{name} is not among the options of a client: it is an"
                " argument of its own"
            )
    return options


def _set(options: JobOptions) -> list[tuple[str, Any]]:
    pairs = [(field.name, getattr(options, field.name)) for field in fields(options)]
    return [(name, value) for name, value in pairs if value is not None]


def _with_handles(options: Mapping[str, object]) -> Mapping[str, object]:
    jobs = _after(options)
    return {**options, "after": [_handle(each) for each in jobs]} if jobs else options


def _after(options: Mapping[str, object]) -> list[object]:
    """Return the jobs that an option names one by one, and not in a text."""
    after = options.get("after")
    if isinstance(after, GearmanJobRequest):
        return [after]
    return list(after) if isinstance(after, list | tuple | set | frozenset) else []


def _handle(job: object) -> object:
    if not isinstance(job, GearmanJobRequest):
        return job
    if job.job.handle is None:
        raise InvalidClientState(f"after needs jobs with a handle, not {job!r}")
    return job.job.handle


def steered_submission(
    request: GearmanJobRequest, data: str | bytes, extensions: bool, now: float
) -> tuple[int, Arguments]:
    """Return the command that submits a request with options, and its arguments.

    `extensions` says whether the server has them; `now` is in seconds since the epoch.
    Raises UnsupportedByServer if the server cannot do what the options say, OptionError
    for wrong options, and ValueError for what excludes each other.
    """
    options = _all_options(request)
    job = request.gearman_job
    if extensions:
        text = format_options(
            replace(
                options,
                background=True if request.background else None,
                priority=_PRIORITIES[request.priority],
            )
        )
        return GEARMAN_COMMAND_SUBMIT_JOB_WITH, (job.task, job.unique, text, data)
    lacking, epoch = _lacking(request, options), _epoch(options, now)
    if lacking:
        raise UnsupportedByServer(server_name(job.connection), lacking)
    if epoch is None:
        command = SUBMIT_COMMANDS[request.background, request.priority]
        return command, (job.task, job.unique, data)
    arguments = (job.task, job.unique, str(epoch), data)
    return GEARMAN_COMMAND_SUBMIT_JOB_EPOCH, arguments


def _all_options(request: GearmanJobRequest) -> JobOptions:
    if request.reducer is not None:
        raise ValueError("a job with options cannot have a reducer")
    options = checked(request.options or {})
    if request.when_to_run is None:
        return options
    if options.at is not None:
        raise ValueError("a job cannot have both at and when_to_run")
    return replace(options, at=job_options({"at": request.when_to_run}).at)


def _lacking(request: GearmanJobRequest, options: JobOptions) -> list[str]:
    """Return the options for which the standard has no packet."""
    names = []
    for name, value in _set(options):
        if value == getattr(_USUAL, name):
            continue
        if name not in _TIMES:
            names.append(name)
        elif not request.background:
            names.append(f"{name} of a job in the foreground")
        elif request.priority != PRIORITY_NONE:
            names.append(f"{name} of a job with a priority")
    return names


def _epoch(options: JobOptions, now: float) -> int | None:
    """Return the first second in which a job may start; None if it may at once."""
    times = [options.at] if options.at is not None else []
    if options.delay:
        times.append(now + options.delay)
    return ceil(max(times)) if times else None


def server_name(connection: Connection | None) -> str:
    """Return the address of a server, or nothing if it is unknown."""
    return "" if connection is None else format_address(*connection.get_address())
