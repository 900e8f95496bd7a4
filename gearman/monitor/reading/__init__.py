"""Connections to job servers: asking them, and following their events."""

from .attention import Attention
from .events import Watch
from .link import Link, Refused, Target
from .poller import Poller

__all__ = ["Attention", "Link", "Poller", "Refused", "Target", "Watch"]
