"""Readings for tests, made as a server's answers are read."""

import json
from typing import Any

from gearman.monitor.model.readings import Reading, StatsReader


def function(name: object = "mail", **keys: Any) -> dict[str, Any]:
    """Return the object that `show stats` has for a function."""
    return {"kind": "function", "function": name, **keys}


def reading(*functions: dict[str, Any], time: float = 1000.0, **facts: Any) -> Reading:
    """Return what is read of a server with these functions."""
    records = [{"kind": "server", "version": "1", **facts}, *functions]
    return StatsReader().read([json.dumps(r).encode() for r in records], time)
