"""Log lines about jobs that were queued again or have failed."""

from ...text import shown
from ..broker import Notice


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
        connection = peer.connection
        address = peer.address if connection is None else connection.name
        worker = f"worker {address}, client id {shown(peer.client_id)}"
        return f"{job} is {event}: {reason} (attempt {count}, {worker})"
