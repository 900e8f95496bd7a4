"""Names for priorities, and for the states that a job request goes through."""

from typing import Final

from .commands import DEFAULT_PORT

# True logs each command that a connection sends or receives, at level DEBUG.
_DEBUG_MODE_ = False

DEFAULT_GEARMAN_PORT: Final = DEFAULT_PORT

PRIORITY_NONE: Final = None
PRIORITY_LOW: Final = "LOW"
PRIORITY_HIGH: Final = "HIGH"

# Not submitted; or the connection was lost, so that its outcome is unknown.
JOB_UNKNOWN: Final = "UNKNOWN"
# Sent; the server has not answered with a handle yet.
JOB_PENDING: Final = "PENDING"
# Accepted by the server.
JOB_CREATED: Final = "CREATED"
# Failed, raised an exception, or was refused by the server.
JOB_FAILED: Final = "FAILED"
# Done; the result has arrived. A background job is complete once it is accepted.
JOB_COMPLETE: Final = "COMPLETE"
