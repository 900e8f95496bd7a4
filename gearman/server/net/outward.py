"""What the settings file has the server send to others: hooks, and relays."""

from collections.abc import Callable
from functools import partial

from ..connections.report import Report
from ..connections.turns import Turns
from ..protocols.interface import Server
from ..relay.io.relays import Relays
from ..settings.settings_file import Settings
from ..watch.hooks.hooks import Hooks
from .facts.process import Facts


class Outward:
    """Runs the hooks and relays of a server.

    `call_soon` has a function called by the event loop, and makes the loop notice that.
    """

    def __init__(
        self,
        server: Server,
        facts: Facts,
        turns: Turns,
        report: Report,
        call_soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self._server = server
        self._turns = turns
        submit = partial(call_soon, self._submit)
        self._hooks = Hooks(server.events, submit)
        self._relays = Relays(
            server.broker, turns.begin, call_soon, partial(report.complain, "relay")
        )
        facts.hooks, facts.relays = self._hooks.facts, self._relays.facts

    def apply(self, settings: Settings) -> None:
        """Run what these settings have, and end what they no longer have."""
        self._turns.begin()
        self._hooks.apply(settings.hooks)
        self._relays.apply(settings.relays)

    def _submit(self) -> None:
        # A server that ends when no job is left takes no more, unless it stores them.
        if not self._server.draining or self._server.broker.persistent:
            self._turns.begin()
            self._hooks.submit(self._server.broker)

    def drain(self) -> None:
        """Do not keep the server from ending when no job is left."""
        self._relays.drain()

    def stop(self) -> None:
        """Have no more jobs passed on."""
        self._relays.stop()

    def close(self) -> None:
        """End all, when the store is closed."""
        self._relays.close()
        self._hooks.close()
