"""A task, its calls and its jobs: each of them knows the others."""

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from ..job import GearmanJobRequest
from ..payload import as_text
from .definition import Definition
from .jobs import Address, Origin, Place, Status
from .schedules import Schedule
from .wire.serializers import Name
from .zipping import zipped

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
A_contra = TypeVar("A_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

# Jobs of a `map` whose results are awaited at a time.
CONCURRENCY = 1000


class Call(Generic[R_co]):
    """A task with arguments, for a group or for `App.submit`: made by `Task.bind`.

    `workload` has the arguments as they were when the call was made.
    """

    __slots__ = ("task", "workload")

    def __init__(self, task: "Task[..., R_co]", workload: bytes) -> None:
        self.task = task
        self.workload = workload

    def __repr__(self) -> str:
        return f"<Call of {self.task.name} with {self.workload!r:.80}>"


class Job(Generic[R_co]):
    """A job that a server has accepted. `handle` is its name there.

    `origin` is what a client knows of it; None if it was found by its handle. Methods
    that begin with `a` are for asyncio, and do the same.
    """

    __slots__ = ("handle", "origin", "task")

    def __init__(
        self,
        task: "Task[..., R_co]",
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

    def result(self, wait: float | None = None) -> R_co:
        """Return the result; wait up to `wait` seconds (None: no limit; 0: not).

        The server has it if the job runs, or has the option `keep`. Raises
        ResultNotReady (a TimeoutError) if the job has not ended, JobFailed, UnknownJob
        if the server does not know it or its result, and ServerUnavailable.
        """
        return self.task.app.calling.result(self, wait)

    async def aresult(self, wait: float | None = None) -> R_co:
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


class Submits(Protocol):
    """Submits jobs, and asks for them."""

    def call(self, task: "Task[..., Any]", workload: bytes) -> Any:
        """Run a foreground job; return its decoded result."""

    def map(self, calls: Iterable[Call[R]], concurrency: int) -> Iterator[R]:
        """Run foreground jobs; yield their results in order."""

    def submit(self, task: "Task[..., R]", workload: bytes) -> "Job[R]":
        """Submit a background job."""

    def result(self, job: "Job[R]", wait: float | None) -> R:
        """Return the decoded result of a job."""

    def fetch(self, handle: str, wait: float | None) -> bytes:
        """Return the result of any job, as bytes."""

    def status(self, job: "Job[Any]") -> Status:
        """Ask for the status of a job."""

    def statuses(self, jobs: "Sequence[Job[Any]]") -> list[Status]:
        """Ask for the statuses of jobs at once."""

    def cancel(self, job: "Job[Any]") -> bool:
        """Have a job dropped; return whether a server knew it."""


class AsyncSubmits(Protocol):
    """Does what Submits does, for asyncio."""

    async def call(self, task: "Task[..., Any]", workload: bytes) -> Any:
        """Run a foreground job; return its decoded result."""

    def map(
        self,
        calls: Iterable[Call[R]] | AsyncIterable[Call[R]],
        concurrency: int,
        *,
        alike: bool,
    ) -> AsyncIterator[R]:
        """Run foreground jobs, which may be `alike`; yield their results in order."""

    async def submit(self, task: "Task[..., R]", workload: bytes) -> "Job[R]":
        """Submit a background job."""

    async def result(self, job: "Job[R]", wait: float | None) -> R:
        """Return the decoded result of a job."""

    async def status(self, job: "Job[Any]") -> Status:
        """Ask for the status of a job."""

    async def cancel(self, job: "Job[Any]") -> bool:
        """Have a job dropped; return whether a server knew it."""


class Surrounds(Protocol):
    """Middleware. The job is a CurrentJob, which knows its task."""

    def submitting(self, call: Call[Any]) -> Call[Any]:
        """Return the call to submit."""

    def running(self, job: Any) -> AbstractContextManager[object]:
        """Return a context manager in which the task's function is called."""


class Submitter(Protocol):
    """The app of a task, as far as tasks and jobs need it."""

    @property
    def middleware(self) -> Sequence[Surrounds]:
        """What is done around submissions and runs."""

    @property
    def calling(self) -> Submits:
        """What submits the jobs."""

    @property
    def acalling(self) -> AsyncSubmits:
        """What submits the jobs in the running event loop."""

    def prepared(self, calls: Iterable[Call[R]]) -> list[Call[R]]:
        """Return calls as the middleware leaves them."""

    def submit(self, calls: Iterable[Call[R]]) -> "list[Job[R]]":
        """Submit background jobs of any tasks, all at once."""

    async def asubmit(self, calls: Iterable[Call[R]]) -> "list[Job[R]]":
        """Submit background jobs of any tasks, as `submit` does."""


class Mapped(Protocol[A_contra, R_co]):
    """A task whose first parameter is an A: type checkers see that a map has such."""

    def bind(self, first: A_contra, /, *args: Any, **kwargs: Any) -> Call[R_co]:
        """Return a call of the task."""


class Task(Definition, Generic[P, R]):
    """A function that workers run; made by `App.task`.

    `name` is the function on the server. Arguments are checked when a job is submitted:
    TypeError is raised if they do not fit the signature, or cannot travel.

    Methods that begin with `a` are for asyncio, and do the same.
    """

    def __init__(
        self,
        app: Submitter,
        function: Callable[..., Any],
        name: str,
        serializer: Name | None,
        options: Mapping[str, Any],
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__(function, name, serializer, options)
        self.app = app
        self.schedule = schedule

    def bind(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Return the call of this task with these arguments, to be submitted later."""
        return Call(self, self.packed(args, kwargs))

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
        task, workload = self._prepared(self.packed(args, kwargs))
        result: R = self.app.calling.call(task, workload)
        return result

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Submit a background job; return when the server has accepted it.

        Raises NotAccepted if the server refuses it, and ServerUnavailable.
        """
        task, workload = self._prepared(self.packed(args, kwargs))
        return self.app.calling.submit(task, workload)

    async def acall(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Have a worker run the task, and return the result.

        If the caller is cancelled, for example by `asyncio.timeout`, so is the job.
        Raises as `call` does.
        """
        task, workload = self._prepared(self.packed(args, kwargs))
        result: R = await self.app.acalling.call(task, workload)
        return result

    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Submit a background job, as `submit` does."""
        task, workload = self._prepared(self.packed(args, kwargs))
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
        first: Iterable[A] | AsyncIterable[A],
        *others: Iterable[Any] | AsyncIterable[Any],
        concurrency: int = CONCURRENCY,
    ) -> AsyncIterator[R]:
        """Have workers run the task for each item; yield the results in order.

        As `map` does. The items may come from async iterables; results are yielded
        while these are waited for. When it is closed early, the jobs that have not
        ended are cancelled.
        """
        task = cast(Task[..., Any], self)
        sources = (first, *others)
        if any(isinstance(each, AsyncIterable) for each in sources):
            coming = task._coming(sources)
            return task.app.acalling.map(coming, concurrency, alike=False)
        rows = zip(*cast("tuple[Iterable[Any], ...]", sources), strict=True)
        calls, middleware = task._calls_of(rows), task.app.middleware
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
        # It raises ValueError at the end of the shortest, if they are not of the same
        # length.
        return self._calls_of(zip(first, *others, strict=True))

    def _calls_of(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[Call[R]]:
        for args in rows:
            yield Call(self, self.packed(args, {}))

    async def _coming(
        self, sources: Sequence[Iterable[Any] | AsyncIterable[Any]]
    ) -> AsyncIterator[Call[R]]:
        async for args in zipped(sources):
            (call,) = self.app.prepared(self._calls_of([args]))
            yield call

    def job(self, handle: str | bytes) -> Job[R]:
        """Return a job of this task that was submitted before, by its handle."""
        return Job(self, as_text(handle))
