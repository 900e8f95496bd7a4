"""What travels: calls of tasks as workloads, and how they have ended as results.

A call is an object in JSON, which any program can write; only `task` is needed:

    {"task": "shop.tasks.mail", "args": [7], "kwargs": {"copies": 2}}

The result of a job is the same object with what the worker has added. The exception of
a failed job has that object in the last line of its traceback.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

# What begins the last line of the traceback of a failed task.
NOTE: Final = "gearman.django: "
_ARGUMENTS: Final = ',"args":'


@dataclass(frozen=True, slots=True)
class Record:
    """A call of a task, and its last run. `task` is the path of the task.

    Times are texts in ISO 8601. `exception` is the path of the exception's class.
    """

    task: str
    queue_name: str | None = None
    priority: int = 0
    run_after: str | None = None
    enqueued_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    worker_ids: list[str] = field(default_factory=list)
    exception: str | None = None
    return_value: Any = None
    # Last, so that the rest is known if the server shows the beginning only.
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)


_NAMES: Final = tuple(each.name for each in fields(Record))


def dump(record: Record) -> bytes:
    """Return a record as bytes, without what is not set."""
    values = {name: getattr(record, name) for name in _NAMES}
    given = {
        name: value
        for name, value in values.items()
        if value is not None or name in ("args", "kwargs")
    }
    return json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()


def load(data: bytes) -> Record:
    """Return the record in bytes. Raises ValueError."""
    return _record(json.loads(data))


def load_beginning(data: str) -> Record:
    """Return the record whose beginning this is, if need be without arguments.

    Raises ValueError.
    """
    try:
        return _record(json.loads(data))
    except ValueError:
        # Within a text, quotation marks are escaped.
        return _record(json.loads(data.partition(_ARGUMENTS)[0] + "}"))


def _record(values: Any) -> Record:
    if not isinstance(values, Mapping) or not isinstance(values.get("task"), str):
        raise ValueError("the workload is no object with the path of a `task`")
    return Record(**{name: values[name] for name in _NAMES if name in values})


def note(record: Record) -> str:
    """Return a record as a line for a traceback."""
    return NOTE + dump(record).decode()


def split(traceback: str) -> tuple[str, Record | None]:
    """Return a traceback without its record, and the record, if there is one."""
    head, found, tail = traceback.rstrip("\n").rpartition(f"\n{NOTE}")
    if not found:
        return traceback, None
    try:
        return f"{head}\n", load(tail.encode())
    except ValueError:
        return traceback, None


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of a failed task. `record` is None if the worker did not tell."""

    exception: str
    traceback: str
    record: Record | None

    @classmethod
    def of(cls, kind: str, traceback: str) -> Self:
        """Return it for an exception that a worker has reported."""
        text, record = split(traceback)
        return cls((record and record.exception) or kind, text, record)
