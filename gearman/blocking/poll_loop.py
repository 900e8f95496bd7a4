"""Waiting for connections, and acting on what happens to them."""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from .. import util
from ..connection import GearmanConnection
from ..errors import ConnectionError, ProtocolError, ServerUnavailable
from .polling import Dialogue, Wakeup, ready
from .seams import Seams

gearman_logger = logging.getLogger(__name__)


class PollLoop:
    """The polling part of GearmanConnectionManager, which has the connections."""

    connection_list: list[Any]
    connection_to_handler_map: dict[Any, Any]
    handle_read: Callable[[Any], Any]
    handle_write: Callable[[Any], Any]
    handle_error: Callable[[Any], Any]
    _drop_inherited: Callable[[], None]

    read_timeout: float | None = None

    # A descriptor that ends a poll early.
    _wakeup: Wakeup | None = None

    # What is entered while a poll waits: other threads have their turn.
    _idle: AbstractContextManager[None] | None = None

    def __init__(self) -> None:
        self._dialogue = Dialogue()
        # What the last trouble with a connection was.
        self._problems: dict[Any, str] = {}

    def _unavailable(
        self, text: str = "Found no valid connections in list"
    ) -> ServerUnavailable:
        """Return the error that says why no connection is open, behind 2.0.2's text."""
        if self.connection_list:
            problems = [self._problems.get(c, "") for c in self.connection_list]
            reasons = "; ".join(filter(None, problems)) or "all are closed"
        else:
            reasons = "there are no servers: name some"
            reasons += ", such as host_list=['localhost:4730']"
        return ServerUnavailable(f"{text}: {self.connection_list!r}: {reasons}")

    def poll_connections_once(
        self, submitted_connections: Iterable[Any], timeout: float | None = None
    ) -> tuple[set[Any], set[Any], set[Any]]:
        """Wait for activity; return the readable, writable and broken connections.

        What there is to send is sent before waiting: a socket can be written until
        it refuses.
        """
        if timeout is not None and timeout < 0.0:
            return set(), set(), set()
        live = [c for c in submitted_connections if c.connected]
        writing = [c for c in live if c.writable()]
        at_once = {c for c in writing if not getattr(c, "blocked", True)}
        if at_once:
            return set(), at_once, set()
        reading = [c for c in live if c.readable()]
        if self._wakeup is None:
            return ready(reading, writing, timeout, watched=live)
        found = ready(
            [*reading, self._wakeup], writing, timeout, watched=live, idle=self._idle
        )
        if self._wakeup in found[0]:
            self._wakeup.clear()
            found[0].remove(self._wakeup)
        return found

    def handle_connection_activity(
        self,
        rd_connections: set[Any],
        wr_connections: set[Any],
        ex_connections: set[Any],
    ) -> tuple[set[Any], set[Any], set[Any]]:
        """Read, write and give up connections; return them, the lost ones last."""
        lost = set(ex_connections)
        for connection in rd_connections:
            self._guarded(self.handle_read, connection, lost)
        for connection in wr_connections:
            self._guarded(self.handle_write, connection, lost)
        for connection in lost:
            self.handle_error(connection)
        return rd_connections, wr_connections, lost

    def _guarded(
        self, handle: Callable[[Any], Any], connection: Any, lost: set[Any]
    ) -> None:
        try:
            handle(connection)
        except ConnectionError as error:
            gearman_logger.debug("connection lost: %s", error)
            self._problems[connection] = str(error)
            lost.add(connection)
        except ProtocolError:
            # What follows on this connection cannot be read.
            self.handle_error(connection)
            raise

    def poll_connections_until_stopped(
        self,
        submitted_connections: Iterable[Any],
        callback_fxn: Callable[[bool], Any],
        timeout: float | None = None,
    ) -> bool:
        """Poll until the callback returns False, or for `timeout` seconds.

        The callback is called before the first poll and after each, with whether
        there was any activity. Returns False if it ended this, True if the time is
        up. Raises ServerUnavailable as soon as no connection is open.
        """
        self._drop_inherited()
        stopwatch = util.Stopwatch(timeout)
        connections = list(submitted_connections)
        wanted = callback_fxn(False)
        talk = len(connections) == 1 and wanted and self._may_talk(connections[0])
        turn = self._turn(talk, connections)
        while wanted and _any_connected(connections):
            remaining = stopwatch.get_time_remaining()
            if remaining == 0.0:
                return True
            wanted = callback_fxn(turn(remaining))
        if not _any_connected(connections):
            raise self._unavailable()
        return False

    def _turn(
        self, talk: bool, connections: list[Any]
    ) -> Callable[[float | None], bool]:
        """Return what waits for activity, acts on it, and tells if there was any."""
        if talk:
            return partial(self._talk, connections[0])
        return partial(self._poll, connections)

    def _poll(self, connections: list[Any], timeout: float | None) -> bool:
        found = self.poll_connections_once(
            connections, timeout=self._poll_time(connections, timeout)
        )
        # What it returns does not matter: subclasses forget to.
        self.handle_connection_activity(*found)
        self._drop_silent(connections)
        return any(found)

    def _may_talk(self, connection: Any) -> bool:
        return (
            self.read_timeout is None
            and connection.connected
            and _POLLING.intact(self)
            and _SOCKET.intact(connection)
        )

    def _talk(self, connection: Any, timeout: float | None) -> bool:
        """Poll one connection, with less ado, and return whether there was anything."""
        read, write = False, True
        lost: set[Any] = set()
        unsent = connection.unsent_bytes > 0
        if unsent and not connection.blocked:
            self._guarded(self.handle_write, connection, lost)
        else:
            read, write = self._dialogue.wait(
                connection.fileno(), unsent, timeout, self._wakeup, self._idle
            )
            if read:
                self._guarded(self.handle_read, connection, lost)
            if write:
                self._guarded(self.handle_write, connection, lost)
        if lost:
            self.handle_error(connection)
        return read or write

    def _silent_since(self, connection: Any) -> float | None:
        """Return since when a server owes an answer; None if it doesn't."""
        handler = self.connection_to_handler_map.get(connection)
        if not connection.connected or handler is None or not handler.expects_answer():
            return None
        since: float = connection.last_activity
        return since

    def _poll_time(
        self, connections: list[Any], remaining: float | None
    ) -> float | None:
        """Return how long to wait before the first silent server is given up."""
        if self.read_timeout is None:
            return remaining
        since = [s for c in connections if (s := self._silent_since(c)) is not None]
        if not since:
            return remaining
        left = max(0.0, min(since) + self.read_timeout - time.monotonic())
        return left if remaining is None else min(left, remaining)

    def _drop_silent(self, connections: list[Any]) -> None:
        if self.read_timeout is None:
            return
        latest = time.monotonic() - self.read_timeout
        for connection in connections:
            since = self._silent_since(connection)
            if since is not None and since <= latest:
                text = f"no answer from {connection!r} in {self.read_timeout:g} seconds"
                gearman_logger.error("%s", text)
                self._problems[connection] = text
                self.handle_error(connection)


def _any_connected(connections: list[Any]) -> bool:
    for connection in connections:  # noqa: SIM110 - half the time of any()
        if connection.connected:
            return True
    return False


_POLLING = Seams(PollLoop, "poll_connections_once", "handle_connection_activity")
_SOCKET = Seams(GearmanConnection, "fileno", "readable", "writable")
