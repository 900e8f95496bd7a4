"""How a worker announces a function."""

from math import ceil

from ..protocol import GEARMAN_COMMAND_CAN_DO, GEARMAN_COMMAND_CAN_DO_TIMEOUT
from .submission import Arguments


def ability(task: str | bytes, timeout: float | None) -> tuple[int, Arguments]:
    """Return the command that announces a function, and its arguments.

    `timeout` is how many seconds a job may take; None: the server does not care.
    """
    if timeout is None:
        return GEARMAN_COMMAND_CAN_DO, (task,)
    # Rounded up: 0 would mean no timeout.
    return GEARMAN_COMMAND_CAN_DO_TIMEOUT, (task, str(ceil(timeout * 1000)))
