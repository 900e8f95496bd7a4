"""Which command submits a job, and how the numbers of a status are read."""

from math import ceil
from typing import Any

from ..constants import PRIORITY_NONE
from ..job import GearmanJobRequest
from ..protocol import (
    GEARMAN_COMMAND_SUBMIT_JOB_EPOCH,
    GEARMAN_COMMAND_SUBMIT_REDUCE_JOB,
    GEARMAN_COMMAND_SUBMIT_REDUCE_JOB_BACKGROUND,
    submit_cmd_for_background_priority,
)


def number(text: str) -> int:
    """Read a number as gearmand does: what is no number is 0, a fraction is cut."""
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return 0


def submission(request: GearmanJobRequest) -> tuple[int, dict[str, Any]]:
    """Return the command that submits a request, and its additional arguments."""
    when = getattr(request, "when_to_run", None)
    reducer = getattr(request, "reducer", None)
    if when is None and reducer is None:
        command = submit_cmd_for_background_priority(
            request.background, request.priority
        )
        return command, {}
    if request.priority != PRIORITY_NONE:
        raise ValueError("a job with when_to_run or reducer cannot have a priority")
    if reducer is None and when is not None:
        if not request.background:
            raise ValueError("a job with when_to_run needs background=True")
        return GEARMAN_COMMAND_SUBMIT_JOB_EPOCH, {"epoch": str(_whole(when))}
    if when is not None:
        raise ValueError("a job cannot have both when_to_run and reducer")
    arguments = {"reducer": reducer, "aggregator": b""}
    if request.background:
        return GEARMAN_COMMAND_SUBMIT_REDUCE_JOB_BACKGROUND, arguments
    return GEARMAN_COMMAND_SUBMIT_REDUCE_JOB, arguments


def _whole(when: float) -> int:
    """Return a time in the whole seconds that a packet has, and no earlier."""
    try:
        return ceil(when)
    except TypeError:
        raise TypeError(
            "when_to_run is a number of seconds since the epoch, not"
            f" {type(when).__name__}; a datetime has it as timestamp()"
        ) from None
