"""A job that was submitted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from ..job import GearmanJobRequest

if TYPE_CHECKING:
    from .task import Task

Address = tuple[str, int]
R = TypeVar("R", covariant=True)


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


class Job(Generic[R]):
    """A job that a server has accepted. `handle` is its name there.

    `origin` is what a client knows of it; None if it was found by its handle. Methods
    that begin with `a` are for asyncio, and do the same.
    """

    __slots__ = ("handle", "origin", "task")

    def __init__(
        self,
        task: "Task[..., R]",
        handle: str,
        origin: GearmanJobRequest | Origin | None = None,
    ) -> None:
        self.task = task
        self.handle = handle
        self.origin = origin

    @property
    def request(self) -> GearmanJobRequest | None:
        """What the blocking client knows of the job, if that has submitted it."""
        return self.origin if isinstance(self.origin, GearmanJobRequest) else None

    @property
    def unique(self) -> str | None:
        """The unique that it was submitted with; None if it was found by its handle."""
        if self.origin is None:
            return None
        if isinstance(self.origin, GearmanJobRequest):
            return cast(str, self.origin.job.unique)
        return self.origin.unique

    @property
    def server(self) -> Address | None:
        """Host and port of its server; None if it was found by its handle."""
        origin = self.origin
        if isinstance(origin, GearmanJobRequest):
            place: Place | None = origin.job.connection
        else:
            place = None if origin is None else origin.server
        return None if place is None else place.get_address()

    def result(self, wait: float | None = None) -> R:
        """Return the result; wait up to `wait` seconds (None: no limit; 0: not).

        The server has it if the job runs, or has the option `keep`. Raises
        ResultNotReady (a TimeoutError) if the job has not ended, JobFailed, UnknownJob
        if the server does not know it or its result, and ServerUnavailable.
        """
        return self.task.app.calling.result(self, wait)

    async def aresult(self, wait: float | None = None) -> R:
        """Return the result, as `result` does."""
        return await self.task.app.acalling.result(self, wait)

    def status(self) -> Status:
        """Ask for the status."""
        return self.task.app.calling.status(self)

    async def astatus(self) -> Status:
        """Ask for the status."""
        return await self.task.app.acalling.status(self)

    def cancel(self) -> bool:
        """Drop the job; return False if the server does not know it (any more)."""
        return self.task.app.calling.cancel(self)

    async def acancel(self) -> bool:
        """Drop the job, as `cancel` does."""
        return await self.task.app.acalling.cancel(self)

    def __repr__(self) -> str:
        return f"<Job {self.handle} of {self.task.name}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Job):
            return NotImplemented
        return self.handle == other.handle

    def __hash__(self) -> int:
        return hash(self.handle)
