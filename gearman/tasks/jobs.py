"""What servers and clients know of a job that was submitted."""

from dataclasses import dataclass
from typing import Protocol

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Status:
    """What a server says of a job.

    It is `known` until it has ended. The worker has said that it is at `numerator` of
    `denominator`; both are 0 before that.
    """

    known: bool
    running: bool
    numerator: int
    denominator: int


class Origin(Protocol):
    """A job of the client for asyncio."""

    unique: str

    @property
    def server(self) -> "Place | None":
        """The server of the job, if it is known."""


class Place(Protocol):
    """A server."""

    def get_address(self) -> Address:
        """Return host and port."""
