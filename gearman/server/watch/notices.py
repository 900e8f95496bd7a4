"""What the log says of jobs that did not end as they should."""

from ...text import shown
from ..broker import Notice


class Sentence:
    """A notice of the broker, put into words only if somebody wants to read it."""

    __slots__ = ("_notice",)

    def __init__(self, notice: Notice) -> None:
        self._notice = notice

    def __str__(self) -> str:
        event, handle, function, peer, reason, count = self._notice
        connection = peer.connection
        address = peer.address if connection is None else connection.name
        worker = f"worker {address}, client id {shown(peer.client_id)}"
        job = f"job {shown(handle)} of {shown(function)}"
        return f"{job} is {event}: {reason} (attempt {count}, {worker})"
