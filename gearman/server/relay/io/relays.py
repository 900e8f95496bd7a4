"""The relays of a server: those of its settings file, at work."""

import random
import secrets
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from ...broker import Broker
from ..lane import Lane
from ..model import Relay
from .dialer import Dialer

# Bytes of the name of the machine in that of the server.
_MACHINE: Final = 24


class _Running(NamedTuple):
    lane: Lane
    dialer: Dialer


class Relays:
    """Runs the relays of the settings.

    `begin_turn` is called before the broker is used. `call_soon` has a function called
    by the event loop. `complain` gets sentences for the log.
    """

    def __init__(
        self,
        broker: Broker,
        begin_turn: Callable[[], None],
        call_soon: Callable[[Callable[[], None]], None],
        complain: Callable[[str], None],
    ) -> None:
        self._broker = broker
        self._begin_turn = begin_turn
        self._call_soon = call_soon
        self._complain = complain
        self._running: list[_Running] = []
        self._called = False
        # Jobs that were passed on by this server are known by this name.
        machine = socket.gethostname().encode("ascii", "ignore").replace(b",", b"")
        self._me = machine[:_MACHINE] + b"-" + secrets.token_hex(8).encode()

    def apply(self, relays: Iterable[Relay]) -> None:
        """Run these relays; those that run already go on, others end."""
        wanted = tuple(relays)
        for each in self._running:
            if each.lane.relay not in wanted:
                each.dialer.close()
                each.lane.close()
        self._running = [each for each in self._running if each.lane.relay in wanted]
        known = [each.lane.relay for each in self._running]
        for relay in wanted:
            if relay not in known:
                lane = Lane(
                    self._broker, relay, self._me, self._pump_soon, random.random
                )
                dialer = Dialer(lane, self._begin_turn, self._complain)
                self._running.append(_Running(lane, dialer))

    def _pump_soon(self) -> None:
        # Not while the broker carries out a verb.
        if not self._called:
            self._called = True
            self._call_soon(self._pump)

    def _pump(self) -> None:
        self._called = False
        for each in self._running:
            each.dialer.pump()

    def facts(self) -> list[Mapping[str, object]]:
        """Return how each relay does, as objects for JSON."""
        return [each.lane.facts() for each in self._running]

    def drain(self) -> None:
        """Pass on only what can't be left to the next run of the server."""
        for each in self._running:
            each.lane.drain()

    def stop(self) -> None:
        """End all connections. What is unanswered stays in the store.

        Call `close` when the store is closed.
        """
        for each in self._running:
            each.dialer.close()

    def close(self) -> None:
        """End all relays."""
        running, self._running = self._running, []
        for each in running:
            each.lane.close()
