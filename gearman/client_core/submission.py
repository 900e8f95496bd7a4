"""The command that submits a request, and whether it may be submitted."""

from math import ceil

from ..constants import JOB_UNKNOWN, PRIORITY_NONE
from ..errors import ExceededConnectionAttempts, InvalidClientState
from ..job import Connection, GearmanJobRequest
from ..protocol import (
    GEARMAN_COMMAND_SUBMIT_JOB_EPOCH,
    GEARMAN_COMMAND_SUBMIT_REDUCE_JOB,
    GEARMAN_COMMAND_SUBMIT_REDUCE_JOB_BACKGROUND,
    SUBMIT_COMMANDS,
)

# The arguments of a command, in their order.
Arguments = tuple[str | bytes | None, ...]


def check_attempts(request: GearmanJobRequest) -> None:
    """Raise ExceededConnectionAttempts if a request was submitted too often."""
    allowed = request.max_connection_attempts
    if request.connection_attempts >= allowed:
        raise ExceededConnectionAttempts(
            f"Exceeded {allowed} connection attempt(s) :: {request!r}"
        )


def begin_attempt(request: GearmanJobRequest, connection: Connection) -> None:
    """Count an attempt: a request is about to be submitted on a connection.

    Raises ExceededConnectionAttempts if the request was submitted too often, and
    InvalidClientState unless it is JOB_UNKNOWN.
    """
    if request.connection_attempts >= request.max_connection_attempts:
        check_attempts(request)
    if request.last_state != JOB_UNKNOWN:
        check_state(request, JOB_UNKNOWN)
    request.gearman_job.connection = connection
    request.connection_attempts += 1
    request.timed_out = False


def check_state(request: GearmanJobRequest, expected: str) -> None:
    """Raise InvalidClientState unless a request is in the expected state."""
    if request.state != expected:
        raise InvalidClientState(
            f"Expected handle ({request.job.handle}) to be in state {expected!r}, "
            f"got {request.state!r}"
        )


def submission(request: GearmanJobRequest, data: str | bytes) -> tuple[int, Arguments]:
    """Return the command that submits a request, and its arguments.

    `data` is the encoded workload. This is for requests without options, which are set
    by `steered_submission`. Raises ValueError for a combination of options for
    which the protocol has no command, and TypeError if `when_to_run` is no number.
    """
    job = request.gearman_job
    when, reducer = request.when_to_run, request.reducer
    if when is None and reducer is None:
        command = SUBMIT_COMMANDS[request.background, request.priority]
        return command, (job.task, job.unique, data)
    if request.priority != PRIORITY_NONE:
        raise ValueError("a job with when_to_run or reducer cannot have a priority")
    if reducer is None and when is not None:
        if not request.background:
            raise ValueError("a job with when_to_run needs background=True")
        epoch = str(_whole(when))
        return GEARMAN_COMMAND_SUBMIT_JOB_EPOCH, (job.task, job.unique, epoch, data)
    if when is not None:
        raise ValueError("a job cannot have both when_to_run and reducer")
    arguments = (job.task, job.unique, reducer, b"", data)
    if request.background:
        return GEARMAN_COMMAND_SUBMIT_REDUCE_JOB_BACKGROUND, arguments
    return GEARMAN_COMMAND_SUBMIT_REDUCE_JOB, arguments


def _whole(when: float) -> int:
    """Return a time in whole seconds, as SUBMIT_JOB_EPOCH has it, rounded up."""
    try:
        return ceil(when)
    except TypeError:
        raise TypeError(
            "when_to_run is a number of seconds since the epoch, not"
            f" {type(when).__name__}; a datetime has it as timestamp()"
        ) from None
