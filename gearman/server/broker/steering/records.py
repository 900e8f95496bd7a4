"""What the store keeps of jobs beyond the columns of the standard.

It is text: `key=value&key=value`, with values that are percent-encoded. A record that
is no job that waits has a `kind`: a dead job, a result, or a setting.
"""

from math import isfinite
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ....options import JobOptions, format_options, parse_job_options
from ..model import Extra

JOB, DEAD_JOB, RESULT, SETTING = b"job", b"dead", b"result", b"setting"

# What is set.
POLICY, SCHEDULE = b"policy", b"schedule"

Fields = dict[bytes, bytes]

# The largest number of attempts that a record may have.
MAX_ATTEMPTS = 2**31 - 1


def job_record(extra: Extra) -> bytes:
    """Return what the store keeps of a job that waits, runs or is dead."""
    fields: Fields = {b"submitted": _time(extra.submitted)}
    if extra.died:
        fields[b"kind"] = DEAD_JOB
        fields[b"died"] = _time(extra.died)
        fields[b"reason"] = extra.reason
        if extra.error is not None:
            fields[b"error"] = extra.error
    if extra.options is not None:
        fields[b"options"] = format_options(extra.options)
    if extra.due:
        fields[b"due"] = _time(extra.due)
    if extra.expires:
        fields[b"expires"] = _time(extra.expires)
    if extra.attempts:
        fields[b"attempts"] = b"%d" % extra.attempts
    if extra.moved:
        fields[b"moved"] = b"1"
    if extra.run is not None:
        fields[b"schedule"] = extra.run[0].encode()
        fields[b"run"] = _time(extra.run[1])
    return join(fields)


def job_extra(fields: Fields) -> Extra:
    """Return what a job had when `job_record` was made. Raises ValueError."""
    options: JobOptions | None = None
    if b"options" in fields:
        options = parse_job_options(fields[b"options"])
    extra = Extra(options, time_of(fields, b"submitted"))
    extra.died = time_of(fields, b"died")
    extra.reason = fields.get(b"reason", b"")
    extra.error = fields.get(b"error")
    extra.due = time_of(fields, b"due")
    extra.expires = time_of(fields, b"expires")
    attempts = int(fields.get(b"attempts", b"0"))
    if not 0 <= attempts <= MAX_ATTEMPTS:
        raise ValueError(f"it has {attempts} attempts")
    extra.attempts = attempts
    extra.moved = b"moved" in fields
    if b"schedule" in fields:
        extra.run = fields[b"schedule"].decode(), float(fields[b"run"])
    return extra


def join(fields: Fields) -> bytes:
    """Return fields as the text of a record."""
    pairs = [f"{key.decode()}={quote_from_bytes(fields[key])}" for key in fields]
    return "&".join(pairs).encode()


def split(record: bytes) -> Fields:
    """Return the fields of a record. Raises ValueError if it is not one."""
    fields: Fields = {}
    for pair in record.split(b"&"):
        key, equals, text = pair.partition(b"=")
        if not equals:
            raise ValueError("its extra field is not key=value&key=value")
        fields[key] = unquote_to_bytes(text)
    return fields


def time_of(fields: Fields, key: bytes) -> float:
    """Return a time in seconds, 0 if there is none. Raises ValueError."""
    seconds = float(fields.get(key, b"0"))
    if not isfinite(seconds):
        raise ValueError(f"{key.decode()} is no time")
    return seconds


def _time(seconds: float) -> bytes:
    return b"%.6f" % seconds
