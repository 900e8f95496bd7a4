"""Schedules of tasks, as tables of the server's settings file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

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


def table(task: Definition, schedule: Schedule) -> str:
    """Return the table of the settings file for a schedule.

    Raises TypeError if its arguments do not fit the task, and ValueError if they
    travel as bytes that are not UTF-8, as those of pickle.
    """
    workload = task.packed(schedule.args, schedule.kwargs)
    steering = task.steering
    rows: dict[str, Any] = {"cron": schedule.cron}
    if schedule.timezone is not None:
        rows["timezone"] = schedule.timezone
    rows["function"] = task.name
    if workload:
        rows["workload"] = workload.decode()
    if steering.unique is not None:
        rows["unique"] = steering.unique
    if task.options.get("priority") is not None:
        rows["priority"] = task.options["priority"]
    if steering.options is not None:
        rows["options"] = format_options(steering.options).decode()
    if schedule.catch_up:
        rows["catch-up"] = schedule.catch_up
    lines = [f"{name} = {_text(value)}" for name, value in rows.items()]
    return "\n".join([f"[schedules.{_text(task.name)}]", *lines, ""])


def settings(tasks: Iterable[tuple[Definition, Schedule | None]]) -> str:
    """Return the tables of those tasks that have a schedule."""
    return "\n".join(table(task, each) for task, each in tasks if each is not None)


def _text(value: str | float) -> str:
    """Return a value in TOML, whose strings have the escapes of JSON."""
    return json.dumps(value).replace("\x7f", "\\u007f")
