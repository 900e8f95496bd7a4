"""The broker in use: compiled if it was built, else the same file as it stands."""

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..framing import BUILD
from . import _broker
from ._broker import (
    ABILITY_MEMORY,
    FULL,
    HIGH,
    LOW,
    NORMAL,
    RECEIPT_MEMORY,
    WAIT_MEMORY,
    Notice,
)

__all__ = ["FULL", "HIGH", "LOW", "NORMAL", "Notice"]
__all__ += ["ABILITY_MEMORY", "RECEIPT_MEMORY", "WAIT_MEMORY"]
__all__ += ["Broker", "Engine", "Function", "Job", "Limits", "Peer"]

# The engine reaches into the compiled broker, so there is one only with the other.
_build: Any = _broker
_engine: Any = None
if BUILD == "speedups":
    with suppress(ModuleNotFoundError):
        _build = import_module("gearman.server._broker_c")
        _engine = import_module("gearman.server._engine")

Engine: Any = _engine and _engine.Engine

if TYPE_CHECKING:
    from ._broker import Broker, Function, Job, Limits, Peer
else:
    Broker = (_engine or _build).Broker
    Function, Job, Peer = _build.Function, _build.Job, _build.Peer
    Limits = _build.Limits
