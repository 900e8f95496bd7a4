"""Asks several servers for the status of a job that only one of them may know."""

from collections.abc import Callable, Iterable
from typing import Final, cast

from ..commands import MAX_HANDLE, MAX_UNIQUE
from ..errors import ProtocolError
from ..job import Connection, GearmanJobRequest, UniqueStatus
from ..payload import as_bytes, as_text

# What servers answer to `cancel job` if they do not know the job: this one and
# gearmand, whose sentence has changed.
UNKNOWN_JOB: Final = ("ERR JOB_NOT_FOUND", "ERR NO_JOB", "ERR UNKNOWN_JOB")


class Inquiry:
    """The questions to several servers about jobs, and the answers."""

    def __init__(self) -> None:
        self._asked: dict[str, list[tuple[Connection, UniqueStatus]]] = {}

    def ask_all(
        self,
        names: Iterable[str],
        connection: Connection,
        ask: Callable[[str, UniqueStatus], object],
    ) -> None:
        """Ask a server about jobs; `ask` gets a name, and the dict for the answer."""
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
    """Return a handle as text; ProtocolError if it has a NUL or over 64 bytes."""
    return _checked("handle", handle, MAX_HANDLE)


def checked_unique(unique: str | bytes) -> str:
    """Return a unique as text; ProtocolError if it has a NUL or over 64 bytes."""
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
    """Whether the status of a request is older than the question for it."""
    status = request.status
    return status.get("time_received") == status.get("last_time_received")
