"""Schedules of tasks: set on a server, or as tables of its settings file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..admin_client import GearmanAdminClient
from ..errors import NotAccepted
from ..options import format_options
from .definition import Definition


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job of a task is submitted by the server, again and again.

    `cron` is minute, hour, day of month, month and day of week, or "@daily" and so on.
    `timezone` is such as "Europe/Berlin"; without it, it is that of the server. A
    missed run is made up for within `catch_up` seconds. The job has the arguments
    `args` and `kwargs`.
    """

    cron: str
    timezone: str | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    catch_up: float = 0.0


def values(task: Definition, schedule: Schedule) -> dict[str, Any]:
    """Return what the server has to know besides `cron` and the function.

    Raises TypeError if the arguments of the schedule do not fit the task.
    """
    workload = task.packed(schedule.args, schedule.kwargs)
    steering = task.steering
    found: dict[str, Any] = {}
    if schedule.timezone is not None:
        found["timezone"] = schedule.timezone
    if workload:
        found["workload"] = workload
    if steering.unique is not None:
        found["unique"] = steering.unique
    if task.options.get("priority") is not None:
        found["priority"] = task.options["priority"]
    if steering.options is not None:
        found["options"] = format_options(steering.options).decode()
    if schedule.catch_up:
        found["catch_up"] = schedule.catch_up
    return found


def table(task: Definition, schedule: Schedule) -> str:
    """Return the table of the settings file for a schedule.

    Raises TypeError if its arguments do not fit the task, and ValueError if they
    travel as bytes that are not UTF-8, as those of pickle.
    """
    rows = {"cron": schedule.cron, "function": task.name, **values(task, schedule)}
    if "workload" in rows:
        rows["workload"] = rows["workload"].decode()
    lines = [f"{key.replace('_', '-')} = {_text(rows[key])}" for key in rows]
    return "\n".join([f"[schedules.{_text(task.name)}]", *lines, ""])


def settings(tasks: Iterable[tuple[Definition, Schedule | None]]) -> str:
    """Return the tables of those tasks that have a schedule."""
    return "\n".join(table(task, each) for task, each in tasks if each is not None)


def register(
    admin: GearmanAdminClient,
    owner: str,
    tasks: Iterable[tuple[Definition, Schedule | None]],
) -> list[str]:
    """Have a server know the schedules of these tasks, and no others of this owner.

    Those of its settings file stay as they are. Returns the names of the others. Raises
    NotAccepted if the server refuses one; then the others are set, and none is removed.
    """
    wanted = {task.name: (each, values(task, each)) for task, each in tasks if each}
    known = admin.get_schedules()
    for each in known:
        if each["source"] == "file":
            wanted.pop(each["name"], None)
    refused = []
    for name, (schedule, rest) in wanted.items():
        answer = admin.set_schedule(name, schedule.cron, name, **rest, owner=owner)
        if answer != "OK":
            refused.append(f"{name}: {answer.removeprefix('ERR ')}")
    if refused:
        raise NotAccepted(f"schedules were refused: {'; '.join(refused)}")
    for each in known:
        if each["owner"] == owner and each["name"] not in wanted:
            admin.unset_schedule(each["name"])
    return list(wanted)


def _text(value: str | float) -> str:
    """Return a value in TOML, whose strings have the escapes of JSON."""
    return json.dumps(value).replace("\x7f", "\\u007f")
