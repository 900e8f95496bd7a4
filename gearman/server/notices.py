"""What the log says of jobs that did not end as they should."""

from ..text import printable
from .broker import Notice

# Bytes that are shown of a name that came from a peer.
SHOWN = 80


class Sentence:
    """A notice of the broker, put into words only if somebody wants to read it."""

    __slots__ = ("_notice",)

    def __init__(self, notice: Notice) -> None:
        self._notice = notice

    def __str__(self) -> str:
        event, handle, function, peer, reason, count = self._notice
        connection = peer.connection
        address = peer.address if connection is None else connection.name
        worker = f"worker {address}, client id {_shown(peer.client_id)}"
        job = f"job {_shown(handle)} of {_shown(function)}"
        return f"{job} is {event}: {reason} (attempt {count}, {worker})"


def _shown(name: bytes) -> str:
    text = printable(name[:SHOWN]).decode(errors="replace")
    return f"{text}..." if len(name) > SHOWN else text
