"""Background jobs as lines of JSON, for export and import.

Bytes are a string if they are UTF-8, and {"base64": "..."} otherwise, so that a job is
imported exactly as it was exported.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

from ...commands import MAX_HANDLE
from ...queue import StoredJob, check
from ...text import printable, shown

PRIORITIES: Final = ("high", "normal", "low")

_MOST_RETRIES: Final = 2**31 - 1
_DEFAULTS: Final = StoredJob._field_defaults


def encode(job: StoredJob) -> str:
    """Return all fields of a job as a line, without its end.

    An empty extra is left out, so that versions that know no extra read the line.
    """
    fields = summary(job) | {
        "workload": text_or_base64(job.workload),
        "reducer": None if job.reducer is None else text_or_base64(job.reducer),
    }
    if job.extra:
        fields["extra"] = text_or_base64(job.extra)
    return json.dumps(fields)


def summary(job: StoredJob) -> dict[str, object]:
    """Return a job as an object for JSON, without workload, reducer and extra."""
    return {
        "number": job.number,
        "handle": text_or_base64(job.handle),
        "function": text_or_base64(job.function),
        "unique": text_or_base64(job.unique),
        "priority": PRIORITIES[job.priority],
        "when": job.when,
        "retries": job.retries,
    }


def text_or_base64(value: bytes) -> str | dict[str, str]:
    """Return bytes as a value for JSON."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}


def decode(line: bytes) -> StoredJob:
    """Return the job in a line. Raises ValueError, whose text says what is wrong."""
    job = StoredJob(**_fields(_object(line)))
    if wrong := check(job) or _wrong(job):
        raise ValueError(wrong)
    return job


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    return found


def _fields(found: Mapping[str, Any]) -> dict[str, Any]:
    for name in StoredJob._fields:
        if name not in found and name not in _DEFAULTS:
            raise ValueError(f"it has no {name}")
    return {name: _field(name, value) for name, value in found.items()}


def _field(name: str, value: object) -> object:
    if name not in StoredJob._fields:
        raise ValueError(f"a job has no {name!r:.80}")
    if name in ("number", "when", "retries"):
        if type(value) is int:
            return value
    elif name == "priority":
        if value in PRIORITIES:
            return PRIORITIES.index(str(value))
    elif name == "reducer" and value is None:
        return None
    elif (found := _bytes(value)) is not None:
        return found
    raise ValueError(f"its {name} is {json.dumps(value):.80}")


def _bytes(value: object) -> bytes | None:
    """Return the bytes for a value of `text_or_base64`, None if it is invalid."""
    try:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict) and value.keys() == {"base64"}:
            return b64decode(value["base64"], validate=True)
    except (TypeError, ValueError):
        pass
    return None


def _wrong(job: StoredJob) -> str:
    """Return why no store can have this job, "" if it is valid."""
    handle = job.handle
    if handle and not handle.endswith(b":%d" % job.number):
        return f"its handle does not end with its number: {shown(handle)}"
    if len(handle) > MAX_HANDLE or b" " in handle or printable(handle) != handle:
        return f"its handle is no handle: {shown(handle)}"
    if not 0 <= job.retries <= _MOST_RETRIES:
        return f"its retries are {job.retries}"
    if b"\0" in (job.reducer or b""):
        return f"its reducer has a NUL: {shown(job.reducer or b'')}"
    return ""
