"""The blocking worker: waits for jobs and runs them, one at a time."""

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Self, TypeVar, Unpack, cast

from . import compat as compat
from .blocking.connections import any_connected
from .blocking.options import Options, Server
from .blocking.polling import Wakeup, ready
from .blocking.seams import Seams
from .blocking.worker.job_execution import JobExecution
from .connection import GearmanConnection
from .connection_manager import GearmanConnectionManager as GearmanConnectionManager
from .errors import ConnectionError as ConnectionError
from .errors import ServerUnavailable
from .job import GearmanJob
from .payload import excerpt
from .worker_handler import GearmanWorkerCommandHandler

gearman_logger = logging.getLogger(__name__)

POLL_TIMEOUT_IN_SECONDS = 60.0

# Seconds that a worker, when it stops, waits for the answer to its last grab.
_LAST_ANSWER = 5.0

# Seconds that a worker with several servers waits for the answer of one to a grab.
_PATIENCE = 1.0

# Seconds until tasks are announced again to a server that has refused something.
_ANNOUNCE_AGAIN = 10.0

# The name of a task, of the type that the program uses: str or bytes.
Name = TypeVar("Name", str, bytes)


class GearmanWorker(JobExecution):
    """Runs jobs from all of its servers, one at a time.

    See GearmanConnectionManager for `host_list` and the other options. These options
    too can be set on a class or an instance:

    reconnect: let `work` wait for a server to come back, instead of raising
        ServerUnavailable when there is none.
    report_exceptions: if a job ends with an exception, send its type, message and
        traceback to the clients that ask for exceptions. Clients of this library do.
        Clients of python-gearman 2.0.2 raise an error when gearmand sends them one.
    grab_all: ask for jobs with their reducer (GRAB_JOB_ALL), which functions find in
        `job.reducer`.
    extensions: ask each server for its extensions as soon as it is connected. If this
        is not set, it is asked at the first look at `job.cancelled`, and does not tell
        what was cancelled before.
    """

    command_handler_class = GearmanWorkerCommandHandler

    reconnect = False
    grab_all = False

    def __init__(
        self,
        host_list: Iterable[Server] | None = None,
        *,
        reconnect: bool | None = None,
        report_exceptions: bool | None = None,
        grab_all: bool | None = None,
        extensions: bool | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(host_list=host_list, **options)
        self._set("reconnect", reconnect)
        self._set("report_exceptions", report_exceptions)
        self._set("grab_all", grab_all)
        self._set("extensions", extensions)

        self.randomized_connections: list[GearmanConnection] | None = None
        # Seconds, for tasks that were registered with a timeout.
        self.task_timeouts: dict[str | bytes, float] = {}
        self.worker_client_id: str | bytes | None = None

        # Handlers that may grab a job, in their order. Whether a job has ended since
        # the hooks were called. Both are used only while `work` runs.
        self._grabbers: deque[GearmanWorkerCommandHandler] = deque()
        self._job_ended = False
        # When the last grab was sent, and when to announce tasks again.
        self._grabbed = 0.0
        self._announce_at = 0.0
        self._working = False
        self._stopping = False
        self._lost_one = False
        self._update_initial_state()

    def _update_initial_state(self) -> None:
        self.handler_initial_state["abilities"] = list(self.worker_abilities)
        self.handler_initial_state["client_id"] = self.worker_client_id

    def _live_handlers(self) -> list[GearmanWorkerCommandHandler]:
        pairs = self.handler_to_connection_map.items()
        return [
            cast(GearmanWorkerCommandHandler, handler)
            for handler, connection in pairs
            if connection.connected
        ]

    # The tasks of the worker.

    def register_task(
        self,
        task: Name,
        callback_function: Callable[[Self, GearmanJob], Any],
        *,
        timeout: float | None = None,
    ) -> Name:
        """Run `callback_function(worker, job)` for jobs of this task; return the task.

        The function returns the result, which the encoder must be able to encode. If
        the function raises an exception, the job fails. If a job takes more than
        `timeout` seconds, the server queues it again or lets it fail. gearmand counts
        whole seconds, at least one. Raises TypeError if it is not callable.
        """
        if not callable(callback_function):
            kind = type(callback_function).__name__
            raise TypeError(f"the task {excerpt(task)} needs a function, not {kind}")
        self.worker_abilities[task] = callback_function
        self.task_timeouts.pop(task, None)
        if timeout is not None:
            self.task_timeouts[task] = timeout
        self._announce()
        return task

    def unregister_task(self, task: Name) -> Name:
        """Take no more jobs of this task; return the task. It may be unknown."""
        self.worker_abilities.pop(task, None)
        self.task_timeouts.pop(task, None)
        self._announce()
        return task

    def _announce(self) -> None:
        self._update_initial_state()
        for handler in self._live_handlers():
            handler.set_abilities(self.handler_initial_state["abilities"])

    def set_client_id(self, client_id: Name) -> Name:
        """Set the name that the servers show for this worker; return the name."""
        self.worker_client_id = client_id
        self._update_initial_state()
        for handler in self._live_handlers():
            handler.set_client_id(self.handler_initial_state["client_id"])
        return client_id

    # Working.

    def work(self, poll_timeout: float | None = POLL_TIMEOUT_IN_SECONDS) -> None:
        """Run jobs until `stop` is called or a hook returns False.

        Lost servers are tried again every `poll_timeout` seconds (None: only after
        their cooldown), or earlier when their cooldown is over. Raises
        ServerUnavailable as soon as no server is connected, unless `reconnect` is
        set. All connections are closed at the end, also after an error.
        """
        self._wakeup = Wakeup()
        self._working = True
        try:
            with self._wakeup.by_signals():
                while self._work_a_while(poll_timeout):
                    pass
            self._finish()
        finally:
            self._working = self._stopping = False
            self._grabbers.clear()
            wakeup, self._wakeup = self._wakeup, None
            wakeup.close()
            GearmanWorker.shutdown(self)

    def stop(self) -> None:
        """Let `work` return as soon as no job is running.

        May be called from a signal handler, another thread, or a job's function.
        """
        self._stopping = True
        wakeup = self._wakeup
        if wakeup is not None:
            wakeup.wake()

    def _work_a_while(self, poll_timeout: float | None) -> bool:
        """Work until connections must be opened again; return False at the end."""
        connections = self.establish_worker_connections()
        if self.discover and self._find_servers(opening=False):
            connections = self.establish_worker_connections()
        self._announce_again()
        self._lost_one = False
        timeout = self._until_next_attempt(poll_timeout)
        if not connections and not self.connection_list:
            raise self._unavailable()
        if not connections and self.reconnect:
            return self._rest(timeout)
        try:
            return (
                self.poll_connections_until_stopped(
                    connections, self._may_go_on, timeout=timeout
                )
                or self._lost_one
            )
        except ServerUnavailable:
            if not self.reconnect:
                raise
            return True

    def _rest(self, seconds: float | None) -> bool:
        if self._stopping or not self.after_poll(False):
            return False
        ready([cast(Wakeup, self._wakeup)], [], seconds)
        return not self._stopping

    def _until_next_attempt(self, longest: float | None) -> float | None:
        """Return the seconds until a lost server may be tried again."""
        due = [
            getattr(connection, "allowed_connect_time", 0.0)
            for connection in self.connection_list
            if not connection.connected
        ]
        due.append(self._announce_at)
        if self.discover and any_connected(self.connection_list):
            due.append(self._knowledge.due)
        if not any(due):
            return longest
        wait: float = max(0.01, min(filter(None, due)) - time.monotonic())
        return wait if longest is None else min(longest, wait)

    def announce_soon(self) -> None:
        """Announce the tasks again, in 10 seconds, to servers that have refused one."""
        self._announce_at = time.monotonic() + _ANNOUNCE_AGAIN
        # The current poll may last longer than that.
        self._lost_one = True

    def _announce_again(self) -> None:
        if 0.0 < self._announce_at <= time.monotonic():
            self._announce_at = 0.0
            for handler in self._live_handlers():
                if getattr(handler, "refused", False):
                    handler.announce_again()

    def _may_go_on(self, any_activity: bool) -> bool:
        """Call the hooks, let the next handler grab; return whether to continue."""
        go_on = self.after_poll(any_activity)
        if self._job_ended and not self.has_job_lock():
            self._job_ended = False
            go_on = go_on and self.after_job()
        if not go_on or self._stopping:
            self._lost_one = False
            return False
        self._lose_patience()
        self._grab_next()
        return not self._lost_one

    def _grab_next(self) -> None:
        while self._grabbers and not self.has_job_lock():
            handler = self._grabbers.popleft()
            connection = self.handler_to_connection_map.get(handler)
            if connection is not None and connection.connected:
                self._grabbed = time.monotonic()
                handler.take_job()

    def _awaiting(self) -> GearmanWorkerCommandHandler | None:
        """Return the handler whose unanswered grab keeps the other servers waiting."""
        holder = self.command_handler_holding_job_lock
        if holder is None or len(self.connection_list) < 2:
            return None
        if not hasattr(holder, "stop_waiting") or not holder.expects_answer():
            return None
        return cast(GearmanWorkerCommandHandler, holder)

    def _lose_patience(self) -> None:
        handler = self._awaiting()
        if handler and self._grabbed + _PATIENCE <= time.monotonic():
            handler.stop_waiting()

    def _poll_time(
        self, connections: list[GearmanConnection], remaining: float | None
    ) -> float | None:
        longest = super()._poll_time(connections, remaining)
        if not self._awaiting():
            return longest
        patience = max(0.0, self._grabbed + _PATIENCE - time.monotonic())
        return patience if longest is None else min(longest, patience)

    def queue_grab(
        self, command_handler: GearmanWorkerCommandHandler, after_job: bool = False
    ) -> bool:
        """Let a handler grab a job when its turn comes.

        Returns False if `work` does not run, as only `work` calls the handlers.
        """
        if not self._working:
            return False
        self._job_ended = self._job_ended or after_job
        if command_handler not in self._grabbers:
            self._grabbers.append(command_handler)
        return True

    def _finish(self) -> None:
        """Run a job that the server may already have sent; send all unsent data."""
        with suppress(ServerUnavailable):
            self.poll_connections_until_stopped(
                self.connection_list, lambda _: self.has_job_lock(), _LAST_ANSWER
            )
        with suppress(ServerUnavailable):
            self.poll_connections_until_stopped(
                self.connection_list,
                lambda _: any(c.writable() for c in self.connection_list),
                POLL_TIMEOUT_IN_SECONDS,
            )

    def shutdown(self) -> None:
        """Close all connections; the server queues a running job again."""
        self.command_handler_holding_job_lock = None
        super().shutdown()

    # Hooks: subclasses override these methods to act between polls.

    def establish_worker_connections(self) -> list[GearmanConnection]:
        """Return the open connections, in random order, after opening closed ones.

        A connection in its cooldown is tried only if no other one can be opened.
        """
        order = random.sample(self.connection_list, len(self.connection_list))
        self.randomized_connections = order
        now = time.monotonic()
        rested = [c for c in order if getattr(c, "allowed_connect_time", 0.0) <= now]
        opened = self._opened(rested)
        if opened or self.reconnect:
            return opened
        return self._opened(c for c in order if c not in rested)

    def after_poll(self, any_activity: bool) -> bool:
        """Called before the first poll and after each poll; False ends `work`."""
        return True

    def after_job(self) -> bool:
        """Called between the end of a job and the next job; False ends `work`."""
        return True

    def handle_error(self, current_connection: GearmanConnection) -> None:
        """Give up a connection; release the job lock if its handler holds it."""
        handler = self.connection_to_handler_map.get(current_connection)
        if handler is not None:
            self.set_job_lock(handler, lock=False)
            self._lost_one = True
            rest = getattr(current_connection, "rest", None)
            if rest is not None:
                rest()
        super().handle_error(current_connection)

    def _may_send_later(self) -> bool:
        """Whether the result of a job may wait, to be sent with the next grab.

        It may not if a method of a subclass runs between the two, as that can be slow.
        """
        return self._working and _BETWEEN.intact(self)


_BETWEEN = Seams(
    GearmanWorker,
    *("on_job_execute", "on_job_complete", "on_job_exception"),
    *("send_job_complete", "send_job_failure", "wait_until_updates_sent"),
    *("after_poll", "after_job", "poll_connections_until_stopped"),
)
