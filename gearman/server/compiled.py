"""The compiled modules of the server."""

from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from ..framing import BUILD

BROKER: Final = "gearman.server.broker_c.broker"
ENGINE: Final = "gearman.server.net._engine"
SAMPLES: Final = "gearman.server.protocols.metrics._samples"


def compiled(name: str) -> Any:
    """Return a compiled module of the server, or None.

    It is None in the pure build, and if the module was not built, as the engine is
    built on Linux only.
    """
    if BUILD == "speedups":
        with suppress(ModuleNotFoundError):
            return import_module(name)
    return None
