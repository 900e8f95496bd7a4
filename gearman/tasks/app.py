"""The application object: its servers and its tasks."""

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine, Iterable, Sequence
from inspect import iscoroutinefunction
from threading import Lock
from typing import (
    TYPE_CHECKING,
    Any,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    Unpack,
    overload,
)
from weakref import WeakKeyDictionary

from ..address import format_address
from ..admin_client import GearmanAdminClient
from ..cli.servers import addresses as usual
from ..client import GearmanClient
from .calling.blocking import Calling
from .calling.eager import Eager, EagerAsync
from .current import CurrentJob, current
from .groups import Group, with_results
from .middleware import Middleware
from .options import TaskOptions
from .schedules import Schedule, register, settings
from .task import Call, Job, Task
from .wire.serializers import Name as Serializer

if TYPE_CHECKING:
    from .. import aio
    from .calling.asynchronous import AsyncCalling

P = ParamSpec("P")
R = TypeVar("R")
AnyTask = Task[..., Any]


class PlainTask(Task[P, R]):
    """A task whose function is called."""

    app: "App"

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
            """Call the function here."""


class AsyncTask(Task[P, R]):
    """A task whose function is `async def`."""

    app: "App"
    is_async = True

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
            """Call the function here; the result is to be awaited."""


class Decorator(Protocol):
    """Makes a task of a function."""

    # A coroutine is a result, too; the first overload that fits counts.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]]
    ) -> AsyncTask[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R]) -> PlainTask[P, R]: ...


class App:
    """Tasks, and the servers where their jobs are.

    `addresses` are "host", "host:port", "[::1]:4730" or "unix:/path". Without any, they
    are those of the environment variable GEARMAN_SERVERS, or localhost:4730. Each job
    goes to one of them. `tls` is for all connections. Seconds: `connect_timeout` for
    opening a connection, `read_timeout` for an answer of the server (None: no limit).
    The `name` is the owner of the schedules that the app registers with a server. With
    `discover`, clients and workers ask for the other servers of a cluster, and use
    them as if they were given.

    With `eager`, nothing is submitted: tasks run where they are called or submitted,
    for tests. It may be changed at any time.

    An app may be used by several threads, by several event loops, and after a fork. It
    is a context manager, which closes its connections at the end; so do `close`, and
    for those of an event loop `async with` and `aclose`.
    """

    def __init__(
        self,
        *addresses: str,
        name: str | None = None,
        eager: bool = False,
        middleware: Iterable[Middleware] = (),
        tls: ssl.SSLContext | None = None,
        connect_timeout: float | None = 10.0,
        read_timeout: float | None = None,
        discover: bool = False,
    ) -> None:
        self.tasks: dict[str, AnyTask] = {}
        self.name = name
        self.eager = eager
        self.middleware = list(middleware)
        self.tls = tls
        self.connect_timeout = connect_timeout
        self.read_timeout = read_timeout
        self.discover = discover
        self._addresses: Sequence[str] = addresses
        self._calling: Calling | None = None
        self._lock = Lock()
        # Clients for asyncio belong to their event loops.
        self._acalling: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncCalling] = (
            WeakKeyDictionary()
        )
        self._eagerly = Eager()
        self._eagerly_async = EagerAsync(self._eagerly)

    @property
    def addresses(self) -> list[str]:
        """The servers. When they are set, the blocking client's connections are closed.

        In an event loop, use `aclose` before.
        """
        return list(self._addresses) or _usual_addresses()

    @addresses.setter
    def addresses(self, addresses: Sequence[str]) -> None:
        self.close()
        self._addresses = addresses

    # Tasks.

    @overload
    def task(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...

    @overload
    def task(self, function: Callable[P, R], /) -> PlainTask[P, R]: ...

    @overload
    def task(
        self,
        *,
        name: str | None = None,
        serializer: Serializer | None = None,
        schedule: str | Schedule | None = None,
        **options: Unpack[TaskOptions],
    ) -> Decorator: ...

    def task(
        self,
        *functions: Callable[..., Any],
        name: str | None = None,
        serializer: Serializer | None = None,
        schedule: str | Schedule | None = None,
        **options: Any,
    ) -> Any:
        """Make a task of a function: `@app.task`, or with arguments `@app.task(...)`.

        `name` is the function on the server; without it, it is the function's own name.
        The serializer is "json", "bytes" or "pickle"; without it, JSON, or bytes for a
        function whose only parameter is annotated with bytes. A `schedule` is cron's
        five fields, or a Schedule; see `register_schedules`. For the options see
        TaskOptions; they hold for all jobs of the task that are submitted by it.

        Raises ValueError if the app has a task of this name, or for a wrong option.
        """

        timing = Schedule(schedule) if isinstance(schedule, str) else schedule

        def decorate(function: Callable[..., Any]) -> AnyTask:
            kind: type[AnyTask] = PlainTask
            if iscoroutinefunction(function):
                kind = AsyncTask
            made = kind(
                self, function, name or function.__name__, serializer, options, timing
            )
            return self._add(made)

        return decorate(*functions) if functions else decorate

    def _add(self, task: AnyTask) -> AnyTask:
        known = self.tasks.setdefault(task.name, task)
        if known is not task:
            raise ValueError(
                f"there is a task {task.name} already: {known.function!r}; give"
                " one of them another name"
            )
        return task

    @property
    def current(self) -> CurrentJob:
        """The job of this app that is run here; raises NoCurrentJob if there is none.

        Threads that a task starts have no current job.
        """
        return current(self)

    # Jobs.

    @property
    def calling(self) -> Calling | Eager:
        """What submits the jobs."""
        return self._eagerly if self.eager else self._submitter()

    def _submitter(self) -> Calling:
        found = self._calling
        if found is None:
            # Several threads may come here at the same time.
            with self._lock:
                found = self._calling = self._calling or self._new_submitter()
        return found

    def _new_submitter(self) -> Calling:
        client = GearmanClient(
            self.addresses,
            ssl_context=self.tls,
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            discover=self.discover,
        )
        return Calling(client, self.admin)

    @property
    def acalling(self) -> "AsyncCalling | EagerAsync":
        """What submits the jobs in the running event loop."""
        if self.eager:
            return self._eagerly_async
        loop = asyncio.get_running_loop()
        found = self._acalling.get(loop)
        if found is None:
            # It takes some time to import, which programs without asyncio save.
            from .calling.asynchronous import AsyncCalling

            client = self._connected(*self.addresses, discover=self.discover)
            found = AsyncCalling(client, self._connected)
            self._acalling[loop] = found
        return found

    def _connected(self, *addresses: str, discover: bool = False) -> "aio.Client":
        from .. import aio

        return aio.Client(
            *addresses,
            tls=self.tls,
            connect_timeout=self.connect_timeout,
            discover=discover,
        )

    def submit(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Submit background jobs of any tasks, all at once.

        Raises NotAccepted if the server refuses some; its `jobs` are the others.
        """
        return self.calling.submit_many(self.prepared(calls))

    async def asubmit(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Submit background jobs of any tasks, as `submit` does."""
        return await self.acalling.submit_many(self.prepared(calls))

    def group(self, calls: Iterable[Call[R]]) -> Group[R]:
        """Submit background jobs together; their results are kept for an hour.

        A task may have another option `keep`. Raises as `submit` does.
        """
        prepared = self.prepared(with_results(calls))
        return Group(self.calling.submit_many(prepared, bound=True))

    async def agroup(self, calls: Iterable[Call[R]]) -> Group[R]:
        """Submit background jobs together, as `group` does."""
        prepared = self.prepared(with_results(calls))
        return Group(await self.acalling.submit_many(prepared, bound=True))

    def settings(self) -> str:
        """Return the schedules of all tasks, as text for the server's settings file.

        Raises TypeError if the arguments of a schedule do not fit its task.
        """
        return settings((task, task.schedule) for task in self.tasks.values())

    def register_schedules(self, owner: str | None = None) -> list[str]:
        """Have the first server know the schedules of all tasks; return their names.

        Those that the owner had there before, and that are gone, are removed. The owner
        is the name of the app. Schedules of the server's settings file stay as they
        are. If nothing has changed, nothing happens. The server needs the extra `cron`.

        Raises ValueError if the app has no name, TypeError if the arguments of a
        schedule do not fit its task, NotAccepted if the server refuses one, and
        ServerUnavailable.
        """
        if not (owner := owner or self.name):
            raise ValueError("schedules need an owner: give the app a name")
        with self.admin(self.addresses[0]) as admin:
            tasks = self.tasks.values()
            return register(admin, owner, ((task, task.schedule) for task in tasks))

    def prepared(self, calls: Iterable[Call[R]]) -> list[Call[R]]:
        """Return calls as the middleware leaves them."""
        found = list(calls)
        for each in self.middleware:
            found = [each.submitting(call) for call in found]
        return found

    @property
    def client(self) -> GearmanClient:
        """The blocking client that submits the jobs."""
        return self._submitter().client

    def admin(self, address: str) -> GearmanAdminClient:
        """Return an admin client of one of the servers."""
        return GearmanAdminClient(
            [address], ssl_context=self.tls, connect_timeout=self.connect_timeout
        )

    def close(self) -> None:
        """Close the connections. They are opened again if the app is used again."""
        calling, self._calling = self._calling, None
        if calling is not None:
            calling.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        calling = self._acalling.pop(asyncio.get_running_loop(), None)
        if calling is not None:
            await calling.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _usual_addresses() -> list[str]:
    """Return the servers of the environment, which are those of the tools.

    Raises ConfigurationError.
    """
    found = usual("localhost", "", os.environ, given=False)
    return [format_address(*each) for each in found]
