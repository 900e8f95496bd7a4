"""The broker in use: compiled if it was built, else the same file as it stands."""

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..framing import BUILD
from . import _broker
from ._broker import HIGH, LOW, NORMAL

__all__ = ["HIGH", "LOW", "NORMAL", "Broker", "Engine", "Function", "Job", "Peer"]

# The engine reaches into the compiled broker, so there is one only with the other.
_build = _broker
Engine: Any = None
if BUILD == "speedups":
    with suppress(ModuleNotFoundError):
        _build = import_module("gearman.server._broker_c")
        Engine = import_module("gearman.server._engine").Engine

if TYPE_CHECKING:
    from ._broker import Broker, Function, Job, Peer
else:
    Broker, Function = _build.Broker, _build.Function
    Job, Peer = _build.Job, _build.Peer
