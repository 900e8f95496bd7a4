"""Log lines about jobs that were queued again or have failed."""

from ...text import shown, text_or_base64
from ..broker import Notice, Peer


class Sentence:
    """The sentence for a notice of the broker; it is made only if it is logged."""

    __slots__ = ("_notice",)

    def __init__(self, notice: Notice) -> None:
        self._notice = notice

    def __str__(self) -> str:
        event, handle, function, peer, reason, count = self._notice
        job = f"job {shown(handle)} of {shown(function)}"
        if peer is None:
            return f"{job} is {event}: {reason}"
        worker = f"worker {self._address(peer)}, client id {shown(peer.client_id)}"
        return f"{job} is {event}: {reason} (attempt {count}, {worker})"

    def facts(self) -> dict[str, object]:
        """Return what the sentence says, for JSON."""
        event, handle, function, peer, reason, count = self._notice
        found: dict[str, object] = {
            "event": event,
            "handle": text_or_base64(handle),
            "function": text_or_base64(function),
            "reason": reason,
            "attempts": count,
        }
        if peer is not None:
            found["peer"] = self._address(peer)
            found["client_id"] = text_or_base64(peer.client_id)
        return found

    @staticmethod
    def _address(peer: Peer) -> str:
        connection = peer.connection
        return peer.address if connection is None else connection.name
