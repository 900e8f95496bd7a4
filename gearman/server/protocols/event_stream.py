"""The admin command `watch events`: events are sent to a peer as they happen."""

from ..broker import Peer
from .events import Event, Events, Wish
from .interface import HIGH_WATER


class Stream:
    """Sends events to a peer, a line of JSON each, until it disconnects.

    What comes while over HIGH_WATER bytes wait for the peer is left out; a line tells
    how many events these were.
    """

    def __init__(self, events: Events, peer: Peer, wish: Wish) -> None:
        self.names = wish.names
        self._wish = wish
        self._events = events
        self._peer = peer
        self._left_out = 0
        events.add(self)
        # So that the peer knows from when on it misses nothing.
        peer.write(events.event("watching").line())

    def wants(self, name: str, function: bytes | None) -> bool:
        """Whether to send such an event now; if there is no room, it is counted."""
        wanted = self._wish.has(name, function)
        if wanted and (self._peer.blocked or self._peer.size > HIGH_WATER):
            self._left_out += 1
            return False
        return wanted

    def take(self, event: Event) -> None:
        """Send an event."""
        if self._left_out:
            count, self._left_out = self._left_out, 0
            self._peer.write(self._events.event("left_out", {"count": count}).line())
        self._peer.write(event.line())

    def left(self, peer: Peer) -> None:
        """End, if it is the peer of this stream."""
        if peer is self._peer:
            self._events.remove(self)
