"""What of the server is compiled."""

from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from ..framing import BUILD

BROKER: Final = "gearman.server.broker_c.broker"
ENGINE: Final = "gearman.server.net._engine"


def compiled(name: str) -> Any:
    """Return a compiled module of the server, or None without it.

    Those who want to do without find none; so do those on whose system there is none,
    as with the engine, which is for Linux only.
    """
    if BUILD == "speedups":
        with suppress(ModuleNotFoundError):
            return import_module(name)
    return None
