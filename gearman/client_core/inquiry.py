"""Questions for jobs that go to several servers, only one of which may know them."""

from collections.abc import Callable, Iterable
from typing import cast

from ..commands import MAX_HANDLE, MAX_UNIQUE
from ..errors import ProtocolError
from ..job import Connection, GearmanJobRequest, UniqueStatus
from ..payload import as_bytes, as_text


class Inquiry:
    """What several servers were asked about jobs, and what they answered."""

    def __init__(self) -> None:
        self._asked: dict[str, list[tuple[Connection, UniqueStatus]]] = {}

    def ask_all(
        self,
        names: Iterable[str],
        connection: Connection,
        ask: Callable[[str, UniqueStatus], object],
    ) -> None:
        """Have a server asked about jobs; `ask` gets what is to hold the answer."""
        for name in names:
            status = cast(UniqueStatus, {})
            self._asked.setdefault(name, []).append((connection, status))
            ask(name, status)

    def is_open(self) -> bool:
        """Whether an answer may still come."""
        return any(
            not status and connection.connected
            for pairs in self._asked.values()
            for connection, status in pairs
        )

    def answer(self, name: str) -> tuple[Connection, UniqueStatus]:
        """Return the answer of the server that knows a job, or of any other.

        The status is empty if none has answered.
        """
        return max(self._asked[name], key=lambda pair: pair[1].get("known", -1))


def checked_handle(handle: str | bytes) -> str:
    """Return a handle as text; raises ProtocolError for what can be none."""
    return _checked("handle", handle, MAX_HANDLE)


def checked_unique(unique: str | bytes) -> str:
    """Return a unique as text; raises ProtocolError for what can be none."""
    return _checked("unique", unique, MAX_UNIQUE)


def _checked(kind: str, value: str | bytes, most: int) -> str:
    name = as_bytes(value)
    if len(name) > most or b"\0" in name:
        what = "has a NUL" if b"\0" in name else f"is {len(name)} bytes long"
        raise ProtocolError(
            f"no {kind} {what}: it may have up to {most} bytes without NUL"
        )
    return as_text(value)


def has_old_status(request: GearmanJobRequest) -> bool:
    """Whether the status of a request is from before it was asked for."""
    status = request.status
    return status.get("time_received") == status.get("last_time_received")
