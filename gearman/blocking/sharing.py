"""Connections that several threads may use at the same time."""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from threading import active_count, get_ident
from typing import Any, Unpack

from ..connection import GearmanConnection
from .options import Options, Server
from .polling import Dialogue, Wakeup
from .servers.discovery import Discovering
from .turns import Turns

# After another thread has used the client, the current thread does so many calls in a
# way that lets others in.
_OTHERS = 64


class Shared(Discovering):
    """A GearmanConnectionManager for several threads; each gets its own answers."""

    def __init__(
        self, host_list: Iterable[Server] | None = None, **options: Unpack[Options]
    ) -> None:
        self._turns = Turns()
        # The last thread that used this object, and for how many of its next calls
        # other threads are expected.
        self._user = 0
        self._others = 0
        super().__init__(host_list=host_list, **options)

    def _exclusively(self) -> AbstractContextManager[Any]:
        """Return the lock that must be held while connections are used."""
        if self._process != os.getpid():
            self._drop_inherited()
        user = get_ident()
        if user != self._user:
            self._others = _OTHERS if self._user else 0
            self._user = user
        elif self._others:
            self._others -= 1
        return self._turns.lock

    def _drop_inherited(self) -> None:
        if self._process != os.getpid():
            # The thread that holds the lock, or polls, may exist in the parent only.
            self._turns = Turns()
            self._dialogue = Dialogue()
            self._close_wakeup()
            super()._drop_inherited()

    def poll_connections_until_stopped(
        self,
        submitted_connections: Iterable[GearmanConnection],
        callback_fxn: Callable[[bool], object],
        timeout: float | None = None,
    ) -> bool:
        """Poll as GearmanConnectionManager does, or wait while another thread polls."""
        with self._exclusively():
            if self.discover and submitted_connections is self.connection_list:
                self._find_servers(opening=True)
            alone = active_count() == 1
            self._idle = None if alone else self._turns
            if not alone:
                self._wakeup = self._wakeup or Wakeup()
            try:
                return super().poll_connections_until_stopped(
                    submitted_connections, callback_fxn, timeout
                )
            finally:
                if not alone:
                    self._leave()

    def _turn(
        self, talk: bool, connections: list[GearmanConnection]
    ) -> Callable[[float | None], bool]:
        alone = super()._turn(talk, connections)
        if self._idle is None:
            return alone
        together = super()._turn(False, self.connection_list)
        turns, every = self._turns, connections is self.connection_list
        count = len(connections)

        def turn(timeout: float | None) -> bool:
            if turns.polling:
                if self._wakeup is not None and any(c.writable() for c in connections):
                    self._wakeup.wake()
                turns.follow(timeout)
                return True
            # The other threads may wait for other connections, or have added some.
            differ = (turns.followed or every) and count != len(self.connection_list)
            active = (together if differ else alone)(timeout)
            if active:
                turns.tell()
            return active

        return turn

    def _leave(self) -> None:
        """Let another thread poll, if a connection is open."""
        self._turns.tell()
        if not any(c.connected for c in self.connection_list):
            self._close_wakeup()

    def shutdown(self) -> None:
        """Close all connections; a connection that is used later is opened again."""
        with self._exclusively():
            super().shutdown()
            if self._turns.polling and self._wakeup is not None:
                # The polling thread then finds that no connection is open.
                self._wakeup.wake()
            else:
                self._close_wakeup()

    def _close_wakeup(self) -> None:
        if self._wakeup is not None and not self._turns.polling:
            self._wakeup.close()
            self._wakeup = None
