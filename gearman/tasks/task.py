"""A task: a function, its name on the server, and the options of its jobs."""

import copy
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import cached_property, update_wrapper
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    Unpack,
    cast,
)

from ..payload import as_text
from .calls import Call, columns
from .jobs import Job
from .options import Steering, TaskOptions, steering
from .schedules import Schedule
from .wire.serializers import Name, Serializer, serializer
from .wire.signatures import checker, signature_of

if TYPE_CHECKING:
    from .app import App

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
A_contra = TypeVar("A_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

# Jobs of a `map` whose results are awaited at a time.
CONCURRENCY = 1000


class Mapped(Protocol[A_contra, R_co]):
    """A task whose first parameter is an A: type checkers see that a map has such."""

    def bind(self, first: A_contra, /, *args: Any, **kwargs: Any) -> Call[R_co]:
        """Return a call of the task."""


class Task(Generic[P, R]):
    """A function that workers run; made by `App.task`.

    `name` is the function on the server. Arguments are checked when a job is submitted:
    TypeError is raised if they do not fit the signature, or cannot travel.

    Methods that begin with `a` are for asyncio, and do the same.
    """

    is_async = False

    def __init__(
        self,
        app: "App",
        function: Callable[..., Any],
        name: str,
        serializer: Name | None,
        options: Mapping[str, Any],
        schedule: Schedule | None = None,
    ) -> None:
        # The names, the docstring and the annotations of the function.
        update_wrapper(cast(Callable[..., Any], self), function)
        self.__name__: str = getattr(function, "__name__", name)
        self.app = app
        self.function = function
        self.name = name
        self.schedule = schedule
        self.options = dict(options)
        self._serializer_name = serializer
        self._steering = steering(options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def timeout(self) -> float | None:
        """Seconds that an attempt may take; workers announce it."""
        options = self._steering.options
        return None if options is None else options.timeout

    @property
    def steering(self) -> Steering:
        """The options of the jobs, as the client takes them."""
        return self._steering

    @cached_property
    def serializer(self) -> Serializer:
        """Makes bytes of arguments and results."""
        return serializer(self._serializer_name, signature_of(self.function))

    @cached_property
    def _check(self) -> Callable[..., None]:
        return checker(self.__name__, signature_of(self.function))

    def with_options(self, **options: Unpack[TaskOptions]) -> Self:
        """Return this task with other options for the jobs that it submits.

        Options that are not named stay; None forgets one.
        """
        other = copy.copy(self)
        other.options = {**self.options, **options}
        other._steering = steering(other.options)
        return other

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Return the call of this task with these arguments, to be submitted later."""
        return Call(self, self._workload(args, kwargs))

    def _workload(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        self._check(*args, **kwargs)
        return self.serializer.dump_arguments(args, kwargs)

    def _prepared(self, workload: bytes) -> "tuple[Task[..., R], bytes]":
        """Return the task and the workload as the middleware leaves them."""
        if not self.app.middleware:
            return self, workload
        (call,) = self.app.prepared([Call(self, workload)])
        return call.task, call.workload

    # Submitting.

    def call(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Have a worker run the task, and return the result.

        Raises JobFailed if the job fails, NotAccepted if the server refuses it, and
        ServerUnavailable if no server can be reached, or the connection is lost.
        """
        task, workload = self._prepared(self._workload(args, kwargs))
        result: R = self.app.calling.call(task, workload)
        return result

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Submit a background job; return when the server has accepted it.

        Raises NotAccepted if the server refuses it, and ServerUnavailable.
        """
        task, workload = self._prepared(self._workload(args, kwargs))
        return self.app.calling.submit(task, workload)

    async def acall(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Have a worker run the task, and return the result.

        If the caller is cancelled, for example by `asyncio.timeout`, so is the job.
        Raises as `call` does.
        """
        task, workload = self._prepared(self._workload(args, kwargs))
        result: R = await self.app.acalling.call(task, workload)
        return result

    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Submit a background job, as `submit` does."""
        task, workload = self._prepared(self._workload(args, kwargs))
        return await self.app.acalling.submit(task, workload)

    async def asubmit_many(
        self: "Mapped[A, R]",
        first: Iterable[A],
        *others: Iterable[Any],
    ) -> list[Job[R]]:
        """Submit a job for each item of the iterables, as `submit_many` does."""
        task = cast(Task[..., Any], self)
        return await task.app.asubmit(task._calls(first, others))

    def amap(
        self: "Mapped[A, R]",
        first: Iterable[A],
        *others: Iterable[Any],
        concurrency: int = CONCURRENCY,
    ) -> AsyncIterator[R]:
        """Have workers run the task for each item; yield the results in order.

        As `map` does. When it is closed early, the jobs that have not ended are
        cancelled.
        """
        task = cast(Task[..., Any], self)
        calls, middleware = task._calls(first, others), task.app.middleware
        for each in middleware:
            calls = map(each.submitting, calls)
        return task.app.acalling.map(calls, concurrency, alike=not middleware)

    def submit_many(
        self: "Mapped[A, R]",
        first: Iterable[A],
        *others: Iterable[Any],
    ) -> list[Job[R]]:
        """Submit a job for each item of the iterables, all at once.

        The items are the arguments, as with `map`. Raises as `App.submit` does.
        """
        task = cast(Task[..., Any], self)
        return task.app.submit(task._calls(first, others))

    def submit_after(
        self,
        jobs: Sequence[Job[Any]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Job[R]:
        """Submit a job that gets the results of these jobs: see `Group.then`."""
        task, workload = self._after(jobs, args, kwargs or {})
        return self.app.calling.submit(task, workload)

    async def asubmit_after(
        self,
        jobs: Sequence[Job[Any]],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Job[R]:
        """Submit a job that gets the results of these jobs: see `Group.athen`."""
        task, workload = self._after(jobs, args, kwargs or {})
        return await self.app.acalling.submit(task, workload)

    def _after(
        self, jobs: Sequence[Job[Any]], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> "tuple[Task[..., R], bytes]":
        self._check([], *args, **kwargs)
        forms = {job.task.serializer.results for job in jobs}
        if forms - {self.serializer.results_of}:
            raise TypeError(
                f"{self.name} takes results as {self.serializer.results_of}, not as"
                f" {' and '.join(sorted(forms))}"
            )
        handles = [job.handle for job in jobs]
        workload = self.serializer.dump_arguments(args, kwargs, handles)
        return self.with_options(after=jobs)._prepared(workload)

    def map(
        self: "Mapped[A, R]",
        first: Iterable[A],
        *others: Iterable[Any],
        concurrency: int = CONCURRENCY,
    ) -> Iterator[R]:
        """Have workers run the task for each item; yield the results in order.

        Like Python's `map`: of several iterables, each has the values of one parameter.
        They must have the same length. `concurrency` is how many jobs are on their way
        at a time. Raises as `call` does; then results that follow are lost.
        """
        task = cast(Task[..., Any], self)
        calls = task._calls(first, others)
        for each in task.app.middleware:
            calls = map(each.submitting, calls)
        return task.app.calling.map(calls, concurrency)

    def _calls(
        self, first: Iterable[Any], others: tuple[Iterable[Any], ...]
    ) -> Iterator[Call[R]]:
        for args in columns(first, others):
            yield Call(self, self._workload(args, {}))

    def job(self, handle: str | bytes) -> Job[R]:
        """Return a job of this task that was submitted before, by its handle."""
        return Job(self, as_text(handle))


class PlainTask(Task[P, R]):
    """A task whose function is called."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
            """Call the function here."""


class AsyncTask(Task[P, R]):
    """A task whose function is `async def`."""

    is_async = True

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
            """Call the function here; the result is to be awaited."""
