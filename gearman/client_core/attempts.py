"""What a worker says of an attempt that has failed."""

import traceback
from math import isfinite

from ..options import MAX_TIME


def retry_seconds(delay: float, counts: bool) -> str:
    """Return the seconds of WORK_RETRY; with a plus the attempt does not count.

    Raises ValueError for a negative delay, or one over 100 years.
    """
    if not isfinite(delay) or not 0 <= delay <= MAX_TIME:
        raise ValueError(f"delay is a number of seconds up to 100 years, not {delay!r}")
    return f"{delay:.9f}".rstrip("0").rstrip(".") + ("" if counts else "+")


def details(error: BaseException) -> dict[str, str]:
    """Return what is reported of an exception: its type, message and traceback."""
    kind = type(error)
    return {
        "type": f"{kind.__module__}.{kind.__qualname__}",
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }
