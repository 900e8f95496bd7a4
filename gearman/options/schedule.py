"""Schedules: jobs that the server submits by itself, again and again."""

from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from .model import JobOptions

# Short forms, which cron has as well.
NAMED_TIMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """A background job, and the times at which it is submitted.

    `cron` is as the user wrote it: five fields, or one of NAMED_TIMES. A run that was
    missed is made up for within `catch_up` seconds. The priority is in `options`.
    `owner` is None for a schedule of the settings file; for others it is the program
    that has set it, "" if it did not say its name.
    """

    name: str
    cron: str
    timezone: tzinfo
    function: bytes
    workload: bytes = b""
    unique: bytes = b""
    options: JobOptions = JobOptions()
    catch_up: float = 0.0
    paused: bool = False
    owner: str | None = None

    @property
    def fields(self) -> str:
        """The five fields of cron: minute, hour, day of month, month, day of week."""
        return NAMED_TIMES.get(self.cron, self.cron)
