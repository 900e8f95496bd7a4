"""A line of the log for each job that ends, at the level INFO."""

from collections.abc import Callable, Mapping

from ...text import shown
from ..broker import Peer
from ..protocols.events import ENDS, Event

# Called with a kind of lines, the text of one, and its facts.
Tell = Callable[[str, object, Mapping[str, object]], None]


class JobLog:
    """Tells the log of each end of a job; it leaves out what comes too often."""

    # With `started`, ends say for how long jobs have waited.
    names = ENDS | {"started"}

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def wants(self, name: str, function: bytes | None) -> bool:
        """Whether a job has ended."""
        return name in ENDS

    def take(self, event: Event) -> None:
        """Log the end of a job."""
        self._tell("job", _Sentence(event), event.record)

    def left(self, peer: Peer) -> None:
        """Peers don't matter."""


class _Sentence:
    """The sentence for an event; it is made only if it is logged."""

    __slots__ = ("_event",)

    def __init__(self, event: Event) -> None:
        self._event = event

    def __str__(self) -> str:
        event = self._event
        record = event.record
        times = [
            f"{name} {record[name]} s" for name in ("waited", "ran") if name in record
        ]
        what = event.name.replace("_", " ")
        function = shown(event.function or b"")
        text = f"job {record['handle']} of {function} has ended: {what}"
        return f"{text} ({', '.join(times)})" if times else text
