"""The admin commands that only this server has, and what their answers mean."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NotRequired, TypedDict
from urllib.parse import quote_from_bytes, unquote

from ..errors import ProtocolError

SET_FUNCTION: Final = "set function"
UNSET_FUNCTION: Final = "unset function"
PAUSE_FUNCTION: Final = "pause function"
RESUME_FUNCTION: Final = "resume function"
PURGE_FUNCTION: Final = "purge function"
RETRY_FUNCTION: Final = "retry function"
FORGET_FUNCTION: Final = "forget function"
RETRY_JOB: Final = "retry job"
FORGET_JOB: Final = "forget job"
SHOW_STATS: Final = "show stats"
SHOW_CLUSTER: Final = "show cluster"
SHOW_POLICIES: Final = "show policies"
SHOW_DEAD: Final = "show dead"
SHOW_JOB: Final = "show job"
LIST_JOBS: Final = "list jobs"
WORKLOAD: Final = "workload"
SHOW_SCHEDULES: Final = "show schedules"
SET_SCHEDULE: Final = "set schedule"
UNSET_SCHEDULE: Final = "unset schedule"
RUN_SCHEDULE: Final = "run schedule"
PAUSE_SCHEDULE: Final = "pause schedule"
RESUME_SCHEDULE: Final = "resume schedule"


class FunctionPolicy(TypedDict):
    """The policy of a task: its keys and their values, as texts."""

    task: str
    policy: dict[str, str]


class DeadJob(TypedDict):
    """A job that was given up; `died` is in seconds since 1970."""

    handle: str
    task: str
    attempts: int
    died: int
    reason: str


class KnownSchedule(TypedDict):
    """A schedule; `next` and `last` run are in seconds since 1970, None without one.

    `source` is "file" or "command". Of a command, `owner` is the program that has set
    it, if it said its name.
    """

    name: str
    cron: str
    task: str
    next: int | None
    last: int | None
    paused: bool
    source: str
    owner: str | None


class ScheduleValues(TypedDict, total=False):
    """What a schedule may have; without `timezone`, it is that of the server.

    `unique`, `priority` and `options` are those of the jobs; the options are a text
    such as "retries=3&timeout=60". A missed run is made up for within `catch_up`
    seconds. `owner` is the name of the program; no other may replace the schedule.
    """

    workload: str | bytes
    timezone: str | None
    unique: str | bytes | None
    priority: str | None
    options: str | bytes | None
    catch_up: float
    paused: bool
    owner: str | None


class JobWorker(TypedDict):
    """The connection of the worker that runs a job."""

    descriptor: int
    address: str
    id: str | dict[str, str]


class JobRecord(TypedDict):
    """A job as the server describes it; times are in seconds since 1970.

    A name that is not UTF-8 is a dict with the key `base64`. `attempts` counts those
    that failed, `retries` the workers that were lost, `size` the bytes of the workload.
    """

    handle: str
    function: str | dict[str, str]
    unique: str | dict[str, str]
    state: str
    priority: str
    background: bool
    attempts: int
    retries: int
    size: int
    submitted: NotRequired[float]
    due: NotRequired[float]
    expires: NotRequired[float]
    died: NotRequired[float]
    worker: NotRequired[JobWorker]
    options: NotRequired[str]
    reason: NotRequired[str]
    error: NotRequired[str | dict[str, str]]


class JobWorkload(TypedDict):
    """The beginning of the workload of a job, whose `size` is in bytes.

    A workload that is not UTF-8 is a dict with the key `base64`.
    """

    handle: str
    size: int
    workload: str | dict[str, str]


def pairs(values: Mapping[str, str | bytes | int | None]) -> str:
    """Return values that are not None as `key=value&key=value`, percent-encoded."""
    texts = {
        key: value if isinstance(value, bytes) else str(value).encode()
        for key, value in values.items()
        if value is not None
    }
    return "&".join(f"{key}={quote_from_bytes(text)}" for key, text in texts.items())


def schedule_text(
    cron: str, function: str | bytes, values: Mapping[str, object]
) -> str:
    """Return what a schedule is, as a word of an admin command."""
    texts: dict[str, str | bytes | int | None] = {"cron": cron, "function": function}
    for name, value in values.items():
        if value not in (None, "", b"", False, 0):
            text = int(value) if isinstance(value, bool) else value
            texts[name.replace("_", "-")] = (
                text if isinstance(text, bytes) else f"{text}"
            )
    return pairs(texts)


def number_in(line: str) -> int:
    """Return the number in `OK n`. Raises ProtocolError for other lines."""
    word, _, number = line.partition(" ")
    if word != "OK" or not (number.isascii() and number.isdigit()):
        raise ProtocolError(f"Expected 'OK' and a number, received: {line}")
    return int(number)


def _policy(line: str) -> FunctionPolicy:
    task, tab, text = line.partition("\t")
    policy = {}
    for pair in text.split("&"):
        key, equals, value = pair.partition("=")
        if not (tab and equals):
            raise ProtocolError(f"This is no line of a policy: {line}")
        policy[key] = unquote(value)
    return {"task": task, "policy": policy}


def _dead(line: str) -> DeadJob:
    fields = line.split("\t", 4)
    if len(fields) < 5 or not (fields[2] + fields[3]).isdecimal():
        raise ProtocolError(f"This is no line of a dead job: {line}")
    handle, task, attempts, died, reason = fields
    return {
        "handle": handle,
        "task": task,
        "attempts": int(attempts),
        "died": int(died),
        "reason": reason,
    }


def _schedule(line: str) -> KnownSchedule:
    fields = line.split("\t")
    if len(fields) < 8 or fields[5] not in ("0", "1"):
        raise ProtocolError(f"This is no line of a schedule: {line}")
    name, cron, task, following, last, paused, source, owner = fields[:8]
    return {
        "name": name,
        "cron": cron,
        "task": task,
        "next": _time(following, line),
        "last": _time(last, line),
        "paused": paused == "1",
        "source": source,
        "owner": None if owner == "-" else owner,
    }


def _time(text: str, line: str) -> int | None:
    if text == "-":
        return None
    if not text.isdecimal():
        raise ProtocolError(f"This is no line of a schedule: {line}")
    return int(text)


def _record(line: str) -> Any:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ProtocolError(f"This is no JSON: {line}") from error
    if not isinstance(record, dict):
        raise ProtocolError(f"This is no object in JSON: {line}")
    return record


# How the lines of lists are read; the other commands are answered with one line.
LISTS: Final[Mapping[str, Callable[[str], object]]] = {
    SHOW_STATS: _record,
    SHOW_CLUSTER: _record,
    SHOW_POLICIES: _policy,
    SHOW_DEAD: _dead,
    SHOW_JOB: _record,
    LIST_JOBS: _record,
    WORKLOAD: _record,
    SHOW_SCHEDULES: _schedule,
}
LINES: Final = frozenset(
    {
        *(SET_FUNCTION, UNSET_FUNCTION, PAUSE_FUNCTION, RESUME_FUNCTION),
        *(PURGE_FUNCTION, RETRY_FUNCTION, FORGET_FUNCTION, RETRY_JOB, FORGET_JOB),
        *(SET_SCHEDULE, UNSET_SCHEDULE),
        *(RUN_SCHEDULE, PAUSE_SCHEDULE, RESUME_SCHEDULE),
    }
)
