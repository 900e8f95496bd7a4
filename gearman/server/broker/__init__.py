"""The broker in use: compiled if it was built, else the same file as it stands."""

from typing import TYPE_CHECKING, Any

from ..compiled import BROKER, UNTRACKED, compiled
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
__all__ += ["Broker", "Function", "Job", "Limits", "Peer"]

_build: Any = compiled(BROKER) or _broker
_untracked: Any = compiled(UNTRACKED)

if TYPE_CHECKING:
    from ._broker import Broker, Function, Job, Limits, Peer
else:
    Broker = (_untracked or _build).Broker
    Function, Job, Peer = _build.Function, _build.Job, _build.Peer
    Limits = _build.Limits
