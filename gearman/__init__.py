"""Gearman in Python: job server, clients, workers and command-line tools."""

import logging
from pathlib import Path

from . import compat, protocol, util
from . import errors as errors
from .admin_client import GearmanAdminClient
from .blocking.sockets import Keepalive
from .client import GearmanClient
from .constants import (
    JOB_COMPLETE,
    JOB_CREATED,
    JOB_FAILED,
    JOB_PENDING,
    JOB_UNKNOWN,
    PRIORITY_HIGH,
    PRIORITY_LOW,
    PRIORITY_NONE,
)
from .encoders import (
    DataEncoder,
    JSONEncoder,
    NoopEncoder,
    PickleEncoder,
    TextEncoder,
)
from .job import GearmanJob, GearmanJobRequest, JobException
from .payload import Payload
from .worker import GearmanWorker

__version__ = "0.1.0"

# In a checkout the queue plugins are next to this package; in an installed package
# they are gearman.queues.
_here = Path(__file__).resolve().parent
if not (_here / "queues").is_dir():
    __path__.append(str(_here.parent))

NullHandler = logging.NullHandler

# This logger has no handler. So in a program that sets up no logging, failed jobs and
# errors from servers appear on standard error.
gearman_root_logger = logging.getLogger("gearman")

__all__ = [
    "JOB_COMPLETE",
    "JOB_CREATED",
    "JOB_FAILED",
    "JOB_PENDING",
    "JOB_UNKNOWN",
    "PRIORITY_HIGH",
    "PRIORITY_LOW",
    "PRIORITY_NONE",
    "DataEncoder",
    "GearmanAdminClient",
    "GearmanClient",
    "GearmanJob",
    "GearmanJobRequest",
    "GearmanWorker",
    "JSONEncoder",
    "JobException",
    "Keepalive",
    "NoopEncoder",
    "NullHandler",
    "Payload",
    "PickleEncoder",
    "TextEncoder",
    "compat",
    "gearman_root_logger",
    "protocol",
    "util",
]
