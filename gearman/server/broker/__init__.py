"""The broker in use: the compiled one if it was built, else the Python modules."""

from typing import TYPE_CHECKING

from ..compiled import BROKER, compiled
from .constants import HIGH, LOW, NORMAL
from .limits import FULL

__all__ = ["FULL", "HIGH", "LOW", "NORMAL", "is_wanted"]
__all__ += ["Broker", "Function", "Job", "Limits", "Notice", "Peer", "Record"]
__all__ += ["Links", "Remote", "Stats"]

if TYPE_CHECKING or not compiled(BROKER):
    from .broker import Broker
    from .limits import Limits
    from .links.links import Links
    from .links.remote import Remote
    from .model import Function, Job, Notice, Peer, Record, is_wanted
    from .stats import Stats
else:
    from ..broker_c.broker import Broker
    from ..broker_c.limits import Limits
    from ..broker_c.links.links import Links
    from ..broker_c.links.remote import Remote
    from ..broker_c.model import Function, Job, Notice, Peer, Record, is_wanted
    from ..broker_c.stats import Stats
