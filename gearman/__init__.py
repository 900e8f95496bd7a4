"""Gearman in Python: job server, clients, workers and command-line tools."""

import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

# A module is imported when one of its names is first used. A job server uses none of
# them, and would start a tenth later.
_MODULES = {
    "admin_client": ["GearmanAdminClient"],
    "blocking.sockets": ["Keepalive"],
    "client": ["GearmanClient"],
    "constants": [
        *("JOB_COMPLETE", "JOB_CREATED", "JOB_FAILED", "JOB_PENDING", "JOB_UNKNOWN"),
        *("PRIORITY_HIGH", "PRIORITY_LOW", "PRIORITY_NONE"),
    ],
    "encoders": [
        *("DataEncoder", "JSONEncoder", "NoopEncoder", "PickleEncoder"),
        "TextEncoder",
    ],
    "job": ["GearmanJob", "GearmanJobRequest", "JobException"],
    "payload": ["Payload"],
    "worker": ["GearmanWorker"],
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__version__ = "0.1.0"

# In a checkout the queue plugins are next to this package; in an installed package
# they are gearman.queues.
_here = os.path.dirname(os.path.realpath(__file__))
if not os.path.isdir(os.path.join(_here, "queues")):
    __path__.append(os.path.dirname(_here))

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


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import the module of a name, or a module of this package."""
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name in _HOMES:
            value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
            globals()[name] = value
            return value
        module = f"{__name__}.{name}"
        try:
            return import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
