"""A connection whose socket belongs to the compiled engine."""

import asyncio
from typing import Any

from ..broker import Links, Remote
from ..protocols.gear import Dispatch
from .connection import Connection


class EngineConnection(Connection):
    """Handles the rare events of a channel, such as back-pressure and closing.

    The channel is its transport, peer and protocol in one object. It reads, carries out
    requests, and counts the memory of its buffers.
    """

    own_memory = 1600

    _transport: Any

    def _wrapped(self, transport: asyncio.BaseTransport) -> Any:
        return transport

    def _attach(self, descriptor: int) -> None:
        self.peer = self.protocol = self._transport

    def be_link(self, dispatch: Dispatch, max_packet: int) -> None:
        self.pressure.reads_on = True
        self._transport.be_link(dispatch, max_packet)

    def carry(self, links: Links | None, remote: Remote | None) -> None:
        self._transport.carry(links, remote)

    def heard(self) -> bool:
        heard: bool = self._transport.heard
        self._transport.heard = False
        return heard

    def memory(self) -> int:
        held: int = self._transport.held
        return held

    def flush(self) -> None:
        self._transport.flush()

    def failed(self) -> None:
        """Send the last answer and close, because of the protocol's error."""
        self.flush()
        self.end(self.protocol.error)
