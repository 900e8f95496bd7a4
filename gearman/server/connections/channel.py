"""A connection whose socket belongs to the compiled engine."""

import asyncio
from typing import Any

from .connection import Connection


class EngineConnection(Connection):
    """Decides what is rare for a channel, which is transport, peer and protocol in one.

    The channel reads, carries requests out, and accounts for its buffers by itself.
    """

    own_memory = 1600

    _transport: Any

    def _wrapped(self, transport: asyncio.BaseTransport) -> Any:
        return transport

    def _attach(self, descriptor: int) -> None:
        self.peer = self.protocol = self._transport

    def memory(self) -> int:
        held: int = self._transport.held
        return held

    def flush(self) -> None:
        self._transport.flush()

    def failed(self) -> None:
        """The protocol came to an end: say so, and close."""
        self.flush()
        self.end(self.protocol.error)
