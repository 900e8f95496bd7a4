"""A job that was submitted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from ..job import GearmanJobRequest

if TYPE_CHECKING:
    from .task import Task

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


class Job(Generic[R]):
    """A job that a server has accepted. `handle` is its name there.

    `request` is that of the client which has submitted it; of a job that was found by
    its handle, it is None.
    """

    __slots__ = ("handle", "request", "task")

    def __init__(
        self,
        task: "Task[..., R]",
        handle: str,
        request: GearmanJobRequest | None = None,
    ) -> None:
        self.task = task
        self.handle = handle
        self.request = request

    @property
    def unique(self) -> str | None:
        """The unique that it was submitted with; None if it was found by its handle."""
        if self.request is None:
            return None
        return cast("str | None", self.request.job.unique)

    def result(self, wait: float | None = None) -> R:
        """Return the result, waiting `wait` seconds for it (None: not at all).

        The server has it if the job runs, or has the option `keep`. Raises
        ResultNotReady (a TimeoutError) if the job has not ended, JobFailed, UnknownJob
        if the server does not know it or its result, and ServerUnavailable.
        """
        return self.task.app.calling.result(self, wait)

    def status(self) -> Status:
        """Ask for the status."""
        return self.task.app.calling.status(self)

    def cancel(self) -> bool:
        """Drop the job; return False if the server does not know it (any more)."""
        return self.task.app.calling.cancel(self)

    def __repr__(self) -> str:
        return f"<Job {self.handle} of {self.task.name}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Job):
            return NotImplemented
        return self.handle == other.handle

    def __hash__(self) -> int:
        return hash(self.handle)
