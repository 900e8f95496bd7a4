"""The worker for asyncio: runs jobs, several of them at once."""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Final

from ..blocking.sockets import Keepalive
from ..client_core.attempts import details, retry_seconds
from ..client_core.grabbing import Slots
from ..commands import Command
from ..errors import ConnectionError, InvalidWorkerState, JobRetry, UnsupportedByServer
from ..payload import as_bytes
from .discovery import Finder
from .running_job import RunningJob
from .servers import Opening, Server, close_all, servers_of, unavailable
from .worker_link import WorkerLink

logger = logging.getLogger("gearman.aio")

Result = bytes | str | None
Function = Callable[[RunningJob], Result | Awaitable[Result]]

# Seconds that a worker, when it stops, waits for the answers to its last grabs.
_LAST_ANSWER: Final = 5.0
# Seconds that a worker with several servers waits for the answer of one to a grab.
_PATIENCE: Final = 1.0

_COMPLETE: Final = int(Command.WORK_COMPLETE)
_FAIL: Final = int(Command.WORK_FAIL)
_EXCEPTION: Final = int(Command.WORK_EXCEPTION)
_RETRY: Final = int(Command.WORK_RETRY)


@dataclass(frozen=True, slots=True)
class _Ability:
    """A function, and how its jobs are run."""

    function: Callable[[RunningJob], Any]
    timeout: float | None
    cancel: bool
    is_async: bool


class Worker:
    """Runs jobs from all of its servers, up to `concurrency` at once.

    See Client for `addresses` and the options of connections. Lost servers are tried
    again, after pauses that grow up to a minute.

    client_id: the name that the servers show for this worker.
    report_exceptions: if a job ends with an exception, send its type, message and
        traceback to the clients that ask for exceptions; clients of this package do.
    reconnect: wait until a server can be reached, instead of raising
        ServerUnavailable as soon as there is none.
    discover: ask for the other servers of a cluster, and connect to them as well.
    """

    def __init__(
        self,
        *addresses: str,
        concurrency: int = 1,
        client_id: str | None = None,
        report_exceptions: bool = True,
        reconnect: bool = True,
        tls: ssl.SSLContext | bool | None = None,
        connect_timeout: float | None = 10.0,
        keepalive: Keepalive | None = Keepalive(),  # noqa: B008 - it is frozen
        max_packet: int | None = None,
        discover: bool = False,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is at least 1, not {concurrency}")
        opening = Opening(tls, connect_timeout, keepalive, max_packet)
        self.servers = servers_of(addresses, opening, self._make_link)
        self._finder: Finder[WorkerLink] | None = None
        if discover:
            self._finder = Finder(self.servers, opening, self._make_link)
        # The tasks that keep connections open.
        self._serving: dict[Server[WorkerLink], asyncio.Task[None]] = {}
        self.concurrency = concurrency
        self.client_id = client_id
        self.report_exceptions = report_exceptions
        self.reconnect = reconnect
        self.slots = Slots(concurrency)
        self.jobs_each = concurrency
        self._abilities: dict[str, _Ability] = {}
        # Connections that may ask for a job, in their order.
        self._grabbers: dict[WorkerLink, None] = {}
        self._patience: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._problems: dict[Server[WorkerLink], Exception] = {}
        self._executor: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self._ending = False
        # Set when `stop` was called, when no server is there, and when a connection
        # was told something.
        self._wakeup = asyncio.Event()

    def _make_link(self, server: Server[WorkerLink]) -> WorkerLink:
        return WorkerLink(server, self)

    # The functions.

    def register(
        self,
        name: str,
        function: Function,
        timeout: float | None = None,
        *,
        cancel: bool = False,
    ) -> None:
        """Run `function(job)` for the jobs of a function's name.

        It returns the result: bytes, str or None. An `async def` function runs in the
        event loop, another one in a thread. If it raises an exception, the job fails;
        after JobRetry it is tried again. If a job takes more than `timeout` seconds,
        the server queues it again or lets it fail. With `cancel`, an `async def`
        function is cancelled when nobody wants the job any more, as `job.cancelled`
        says. Raises TypeError if it is not callable.
        """
        if not callable(function):
            kind = type(function).__name__
            raise TypeError(f"{name!r:.80} needs a function, not {kind}")
        is_async = iscoroutinefunction(function) or iscoroutinefunction(
            type(function).__call__
        )
        self._abilities[name] = _Ability(function, timeout, cancel, is_async)
        for link in self._links():
            link.announce_another(name, timeout)

    def timeouts(self) -> list[tuple[str, float | None]]:
        """Return the functions, and the seconds that their jobs may take."""
        return [(name, each.timeout) for name, each in self._abilities.items()]

    # Working.

    async def work(self) -> None:
        """Run jobs until `stop` is called.

        If it is cancelled, the jobs that run are cancelled, and their servers queue
        them again; the thread of a plain function goes on until it returns. Raises
        ServerUnavailable if there is no server, unless `reconnect` is set.
        """
        if self._loop is not None:
            raise InvalidWorkerState("this worker works already")
        self._loop = asyncio.get_running_loop()
        self._wakeup = asyncio.Event()
        self._problems.clear()
        self._serve_all()
        finding = []
        if self._finder is not None:
            looking = self._finder.keep_looking(self._serve_all)
            finding.append(asyncio.create_task(looking))
        try:
            while not self._stopping:
                self._wakeup.clear()
                self._check()
                await self._wakeup.wait()
            await self._finish()
        finally:
            await self._end(finding)

    def _serve_all(self) -> None:
        """Keep connections to all servers open, and to no others."""
        for server in self._serving.keys() - self.servers:
            self._serving.pop(server).cancel()
            self._problems.pop(server, None)
        for server in self.servers:
            if server not in self._serving:
                task = self._serving[server] = asyncio.create_task(self._serve(server))
                task.add_done_callback(lambda _: self._wakeup.set())

    def _check(self) -> None:
        """Raise the error of a task, and ServerUnavailable if there is no server."""
        for task in self._serving.values():
            if task.done():
                task.result()
        if not self.reconnect and len(self._problems) == len(self.servers):
            raise unavailable([*self._problems.values()])

    def stop(self) -> None:
        """Let `work` return when the jobs that run have ended.

        May be called from a signal handler, another thread, or a job's function. If the
        worker does not work, its next `work` returns at once.
        """
        self._stopping = True
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._wakeup.set)

    async def _serve(self, server: Server[WorkerLink]) -> None:
        """Keep a connection to a server open."""
        while True:
            await asyncio.sleep(server.allowed_connect_time - time.monotonic())
            try:
                link = await server.open()
            except ConnectionError as error:
                self._lack(server, error)
                continue
            self._problems.pop(server, None)
            if self._finder is not None:
                self._finder.opened()
            await asyncio.wait([link.lost])
            server.rest()
            if self._finder is not None:
                self._finder.lost(server)
            self._lack(server, link.error())

    def _lack(self, server: Server[WorkerLink], error: Exception) -> None:
        logger.warning("no connection to a server: %s", error)
        self._problems[server] = error
        self._wakeup.set()

    async def _finish(self) -> None:
        """Run the jobs that the servers may have sent, and wait for the end of all."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _LAST_ANSWER
        while any(link.grabbing.owed for link in self._links()):
            self._wakeup.clear()
            try:
                async with asyncio.timeout_at(end):
                    await self._wakeup.wait()
            except TimeoutError:
                break
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _end(self, finding: list[asyncio.Task[None]]) -> None:
        self._stopping = self._ending = True
        tasks = [*finding, *self._serving.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._finder is not None:
                await self._finder.close()
            await close_all(self.servers, "the worker has stopped")
        finally:
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None
            if self._executor is not None:
                # A cancelled job may still run in its thread.
                self._executor.shutdown(wait=False)
                self._executor = None
            self._grabbers.clear()
            self._serving.clear()
            self._stopping = self._ending = False
            self._loop = None

    def _links(self) -> list[WorkerLink]:
        links = (server.link for server in self.servers)
        return [link for link in links if link is not None and link.connected]

    # Asking for jobs.

    def may_grab(self, link: WorkerLink) -> None:
        """Let a connection ask for jobs when there are free slots.

        It asks for none while its server accepts no data: results would pile up.
        """
        if link.grabbing.may_grab():
            self._grabbers.setdefault(link)
        slots = self.slots
        while slots.free > 0 and self._grabbers and not self._stopping:
            first = next(iter(self._grabbers))
            del self._grabbers[first]
            if first.ready and first.grabbing.may_grab():
                first.grab()
                # The others have their turn before it.
                self._grabbers[first] = None
                if len(self.servers) > 1 and self._patience is None:
                    self._be_patient(first.loop)

    def _be_patient(self, loop: asyncio.AbstractEventLoop) -> None:
        self._patience = loop.call_later(_PATIENCE, self._lose_patience, loop)

    def _lose_patience(self, loop: asyncio.AbstractEventLoop) -> None:
        """Release the slots that a server keeps without an answer."""
        self._patience = None
        awaiting = [link for link in self._links() if link.grabbing.awaits]
        late = [link for link in awaiting if link.grabbed + _PATIENCE <= loop.time()]
        if len(late) < len(awaiting):
            self._be_patient(loop)
        for link in late:
            link.grabbing.lose_patience()
            self.may_grab(link)

    def answered(self) -> None:
        """A question for a job was answered, or will not be."""
        if self._stopping:
            self._wakeup.set()

    # Running jobs.

    def run(self, job: RunningJob) -> None:
        """Begin to run a job."""
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, job: RunningJob) -> None:
        try:
            result = await self._result(job)
            job.end(_COMPLETE, b"" if result is None else as_bytes(result))
        except JobRetry as wish:
            self._try_again(job, wish)
        except Exception as error:
            self._fail(job, error)
        except asyncio.CancelledError as error:
            if self._ending:
                # Its function may go on in a thread.
                job.cancelled = True
                raise
            self._fail(job, error)
        finally:
            job.link.ended(job)

    async def _result(self, job: RunningJob) -> Any:
        ability = self._abilities[job.function]
        if ability.is_async:
            if ability.cancel:
                job.runs_in(asyncio.current_task())
            return await ability.function(job)
        loop = asyncio.get_running_loop()
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.concurrency, "gearman-worker")
        context = copy_context()
        call = partial(context.run, ability.function, job)
        return await loop.run_in_executor(self._executor, call)

    def _try_again(self, job: RunningJob, wish: JobRetry) -> None:
        try:
            seconds = retry_seconds(wish.delay, wish.counts)
            if not job.link.extensions:
                raise UnsupportedByServer(job.link.name, ["to try a job again"])
            job.end(_RETRY, seconds, wish.reason)
        except Exception as error:
            self._fail(job, error)

    def _fail(self, job: RunningJob, error: BaseException) -> None:
        """Log that a job failed, and why; tell the server."""
        logger.error("Job %s of %r failed", job.handle, job.function, exc_info=error)
        if self.report_exceptions:
            job.end(_EXCEPTION, json.dumps(details(error)))
        else:
            job.end(_FAIL)
