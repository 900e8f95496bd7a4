"""Several connections: which are open, which have activity, which are silent."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import cast

from ..command_handler import GearmanCommandHandler
from ..connection import GearmanConnection
from ..job import Connection
from .polling import Wakeup, ready

# Connections that can be read, that can be written, and that are broken.
Activity = tuple[set[GearmanConnection], set[GearmanConnection], set[GearmanConnection]]

Handlers = Mapping[Connection, GearmanCommandHandler]


def any_connected(connections: Iterable[GearmanConnection]) -> bool:
    """Whether at least one connection is open."""
    for connection in connections:  # noqa: SIM110 - half the time of any()
        if connection.connected:
            return True
    return False


def poll_once(
    connections: Iterable[GearmanConnection],
    timeout: float | None,
    wakeup: Wakeup | None,
    idle: AbstractContextManager[None] | None,
) -> Activity:
    """Wait for activity, or for the wake-up.

    The wait takes `timeout` seconds at most (None: no limit); `idle` is entered during
    it. A connection with data to send is returned as writable at once, without a wait,
    until its socket accepts no more.
    """
    live = [c for c in connections if c.connected]
    writing = [c for c in live if c.writable()]
    at_once = {c for c in writing if not getattr(c, "blocked", True)}
    if at_once:
        return set(), at_once, set()
    reading = [c for c in live if c.readable()]
    if wakeup is None:
        return ready(reading, writing, timeout, watched=live)
    sources: list[GearmanConnection | Wakeup] = [*reading, wakeup]
    found = ready(sources, writing, timeout, watched=live, idle=idle)
    if wakeup in found[0]:
        wakeup.clear()
        found[0].remove(wakeup)
    return cast(Activity, found)


def silent_since(
    connections: Iterable[GearmanConnection], handlers: Handlers
) -> dict[GearmanConnection, float]:
    """Return the connections that wait for an answer, and since when."""
    return {
        connection: connection.last_activity
        for connection in connections
        if connection.connected
        and (handler := handlers.get(connection)) is not None
        and handler.expects_answer()
    }
