"""A call of a task that was not submitted yet."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from .task import Task

R = TypeVar("R", covariant=True)


class Call(Generic[R]):
    """A task with arguments, for a group or for `App.submit`: made by `Task.bind`.

    `workload` has the arguments as they were when the call was made.
    """

    __slots__ = ("task", "workload")

    def __init__(self, task: "Task[..., R]", workload: bytes) -> None:
        self.task = task
        self.workload = workload

    def __repr__(self) -> str:
        return f"<Call of {self.task.name} with {self.workload!r:.80}>"


def columns(
    first: Iterable[Any], others: tuple[Iterable[Any], ...]
) -> Iterable[tuple[Any, ...]]:
    """Yield the arguments of each call, as `map` does.

    Raises ValueError at the end of the shortest, if they are not of the same length.
    """
    return zip(first, *others, strict=True)
