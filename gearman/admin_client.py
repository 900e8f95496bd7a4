"""The blocking admin client: sends admin commands to one server."""

import logging
import time
from collections.abc import Iterable
from typing import Any, Unpack, cast

from . import util
from .admin_client_handler import (
    Answer,
    ConnectedPeer,
    GearmanAdminClientCommandHandler,
    KnownJob,
    KnownUnique,
    TaskPriorities,
    TaskStatus,
)
from .blocking.options import Options, Server
from .blocking.sharing import Shared
from .client_core import steering
from .client_core.admin_lines import line, policy_text, wanted_jobs
from .client_core.steering import (
    DeadJob,
    FunctionPolicy,
    JobRecord,
    JobWorkload,
    KnownSchedule,
    ScheduleValues,
)
from .connection import GearmanConnection
from .connection_manager import GearmanConnectionManager as GearmanConnectionManager
from .errors import (
    ConnectionError,
    InvalidAdminClientState,
    ProtocolError,
)
from .errors import ServerUnavailable as ServerUnavailable
from .payload import excerpt
from .protocol import (
    GEARMAN_COMMAND_ECHO_REQ,
    GEARMAN_SERVER_COMMAND_CANCEL_JOB,
    GEARMAN_SERVER_COMMAND_CREATE_FUNCTION,
    GEARMAN_SERVER_COMMAND_DROP_FUNCTION,
    GEARMAN_SERVER_COMMAND_GETPID,
    GEARMAN_SERVER_COMMAND_MAXQUEUE,
    GEARMAN_SERVER_COMMAND_PRIORITYSTATUS,
    GEARMAN_SERVER_COMMAND_SHOW_JOBS,
    GEARMAN_SERVER_COMMAND_SHOW_UNIQUE_JOBS,
    GEARMAN_SERVER_COMMAND_SHUTDOWN,
    GEARMAN_SERVER_COMMAND_STATUS,
    GEARMAN_SERVER_COMMAND_VERBOSE,
    GEARMAN_SERVER_COMMAND_VERSION,
    GEARMAN_SERVER_COMMAND_WORKERS,
)
from .protocol import GEARMAN_COMMAND_ECHO_RES as GEARMAN_COMMAND_ECHO_RES

gearman_logger = logging.getLogger(__name__)

ECHO_STRING = "ping? pong!"
DEFAULT_ADMIN_CLIENT_TIMEOUT = 10.0


class GearmanAdminClient(Shared):
    """Sends admin commands to one server, and returns its answers.

    See GearmanConnectionManager for `host_list` and the options. `host_list` names one
    server; ValueError is raised for more. A method waits for its answer `poll_timeout`
    seconds at most. It raises ServerUnavailable if the server cannot be reached,
    InvalidAdminClientState if it does not answer in time, and ProtocolError if the
    answer cannot be parsed, or if an argument is empty or has white space in it.
    """

    command_handler_class = GearmanAdminClientCommandHandler

    def __init__(
        self,
        host_list: Iterable[Server] | None = None,
        poll_timeout: float = DEFAULT_ADMIN_CLIENT_TIMEOUT,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(host_list=host_list, **options)
        self.poll_timeout = poll_timeout
        count = len(self.connection_list)
        if count > 1:
            raise ValueError(
                f"an admin client asks one server, not {count}: make one for each"
            )
        self.current_connection = util.unlist(self.connection_list)
        self.current_handler: GearmanAdminClientCommandHandler | None = None

    def establish_admin_connection(self) -> None:
        """Open the connection if it is not open; raises ServerUnavailable."""
        if self.current_connection is None:
            raise self._unavailable()
        try:
            self.establish_connection(self.current_connection)
        except ConnectionError as error:
            raise self._unavailable() from error
        handler = self.connection_to_handler_map[self.current_connection]
        self.current_handler = cast(GearmanAdminClientCommandHandler, handler)

    def _handler(self) -> GearmanAdminClientCommandHandler:
        """Return the handler of the open connection."""
        return cast(GearmanAdminClientCommandHandler, self.current_handler)

    def _ask(self, command: str, *arguments: object) -> Any:
        text = line(command, *arguments)
        with self._exclusively():
            self.establish_admin_connection()
            self._handler().send_text_command(text)
            answer = self.wait_until_server_responds(command)
        if isinstance(answer, ProtocolError):
            raise answer
        return answer

    def _ask_line(self, command: str, *arguments: object) -> str:
        answer: str = self._ask(command, *arguments)
        return answer

    def wait_until_server_responds(self, expected_type: str | int) -> Answer:
        """Return the answer to the command that was sent, which is `expected_type`."""
        handler = self._handler()
        connection = cast(GearmanConnection, self.current_connection)
        self.poll_connections_until_stopped(
            [connection],
            lambda any_activity: not handler.response_ready,
            timeout=self.poll_timeout,
        )
        if not handler.response_ready:
            # A late answer would be mistaken for the answer to the next request.
            self.handle_error(connection)
            raise InvalidAdminClientState(
                f"Admin client timed out after {self.poll_timeout:f} second(s)"
            )
        cmd_type, answer = handler.pop_response()
        if cmd_type != expected_type:
            raise InvalidAdminClientState(
                f"Received an answer to {cmd_type!r}, expected one to {expected_type!r}"
            )
        return answer

    def ping_server(self) -> float:
        """Have the server send back a short text; return how many seconds this took."""
        with self._exclusively():
            start = time.monotonic()
            self.establish_admin_connection()
            self._handler().send_echo_request(ECHO_STRING)
            echo = self.wait_until_server_responds(GEARMAN_COMMAND_ECHO_REQ)
        if echo != ECHO_STRING:
            raise InvalidAdminClientState(
                f"Echo string mismatch: got {excerpt(echo)}, expected {ECHO_STRING!r}"
            )
        return time.monotonic() - start

    def send_maxqueue(self, task: str | bytes, max_size: int) -> str:
        """Limit how many jobs a task may have, running ones included; return 'OK'.

        With a `max_size` of 0 there is no limit, as in gearmand.
        """
        answer: str = self._ask(GEARMAN_SERVER_COMMAND_MAXQUEUE, task, max_size)
        return answer

    def send_shutdown(self, graceful: bool = True) -> None:
        """Ask the server to stop; it ends its jobs first if `graceful`.

        The answer is not checked, as in python-gearman 2.0.2. gearmand refuses this
        command since version 1.1.15.
        """
        words = ["graceful"] if graceful else []
        self._ask(GEARMAN_SERVER_COMMAND_SHUTDOWN, *words)

    def get_status(self) -> tuple[TaskStatus, ...]:
        """Return a dict for each task: task, queued, running, workers.

        `queued` counts the running jobs too, as gearmand does.
        """
        answer: tuple[TaskStatus, ...] = self._ask(GEARMAN_SERVER_COMMAND_STATUS)
        return answer

    def get_priority_status(self) -> tuple[TaskPriorities, ...]:
        """Return a dict for each task: task, high, normal, low, workers.

        `high`, `normal` and `low` count the waiting jobs of that priority.
        """
        answer: tuple[TaskPriorities, ...] = self._ask(
            GEARMAN_SERVER_COMMAND_PRIORITYSTATUS
        )
        return answer

    def get_version(self) -> str:
        """Return the whole line that has the server's version."""
        answer: str = self._ask(GEARMAN_SERVER_COMMAND_VERSION)
        return answer

    def get_workers(self) -> tuple[ConnectedPeer, ...]:
        """Return a dict for each connection: file_descriptor, ip, client_id, tasks."""
        answer: tuple[ConnectedPeer, ...] = self._ask(GEARMAN_SERVER_COMMAND_WORKERS)
        return answer

    def get_pid(self) -> str:
        """Return the whole line that has the server's process id."""
        answer: str = self._ask(GEARMAN_SERVER_COMMAND_GETPID)
        return answer

    def get_verbosity(self) -> str:
        """Return the whole line that has the lowest level that the server logs."""
        answer: str = self._ask(GEARMAN_SERVER_COMMAND_VERBOSE)
        return answer

    def get_jobs(self) -> tuple[KnownJob, ...]:
        """Return a dict for each job: handle, queued, canceled, enabled (numbers)."""
        answer: tuple[KnownJob, ...] = self._ask(GEARMAN_SERVER_COMMAND_SHOW_JOBS)
        return answer

    def get_unique_jobs(self) -> tuple[KnownUnique, ...]:
        """Return a dict for each job: unique."""
        answer: tuple[KnownUnique, ...] = self._ask(
            GEARMAN_SERVER_COMMAND_SHOW_UNIQUE_JOBS
        )
        return answer

    def cancel_job(self, handle: str | bytes) -> str:
        """Cancel a job; return the line of the answer."""
        answer: str = self._ask(GEARMAN_SERVER_COMMAND_CANCEL_JOB, handle)
        return answer

    def create_function(self, task: str | bytes) -> str:
        """Make a task known without a worker; return the line of the answer."""
        answer: str = self._ask(GEARMAN_SERVER_COMMAND_CREATE_FUNCTION, task)
        return answer

    def drop_function(self, task: str | bytes) -> str:
        """Make the server forget a task; return the line of the answer.

        The server refuses this if the task has workers or jobs.
        """
        answer: str = self._ask(GEARMAN_SERVER_COMMAND_DROP_FUNCTION, task)
        return answer

    # Commands that other servers do not have: these answer `ERR UNKNOWN_COMMAND ...`.

    def get_stats(self) -> tuple[dict[str, Any], ...]:
        """Return dicts with what has happened: of the server, and of each task.

        The first one has the `kind` server, the last one the `kind` forgotten: it is of
        tasks that the server has forgotten. Their keys are in docs/monitoring.md.
        """
        answer: tuple[dict[str, Any], ...] = self._ask(steering.SHOW_STATS)
        return answer

    def get_cluster(self) -> tuple[dict[str, Any], ...]:
        """Return dicts of the server's cluster: itself, and each of its servers.

        There are none without a cluster. Their keys are in docs/cluster.md.
        """
        answer: tuple[dict[str, Any], ...] = self._ask(steering.SHOW_CLUSTER)
        return answer

    def set_function(self, task: str | bytes, **values: object) -> str:
        """Set values of a task's policy; return the line of the answer.

        The values are those of a policy, such as `retries=3` or `max_running=2`; those
        that are not named stay as they are. Raises OptionError if one is not allowed,
        or if there is none.
        """
        return self._ask_line(steering.SET_FUNCTION, task, policy_text(values))

    def unset_function(self, task: str | bytes) -> str:
        """Forget all that was set for a task; return the line of the answer."""
        return self._ask_line(steering.UNSET_FUNCTION, task)

    def get_policies(self) -> tuple[FunctionPolicy, ...]:
        """Return a dict for each task that has a policy: task, policy."""
        answer: tuple[FunctionPolicy, ...] = self._ask(steering.SHOW_POLICIES)
        return answer

    def pause_function(self, task: str | bytes) -> str:
        """Let no more jobs of a task start; return the line of the answer."""
        return self._ask_line(steering.PAUSE_FUNCTION, task)

    def resume_function(self, task: str | bytes) -> str:
        """Let jobs of a task start again; return the line of the answer."""
        return self._ask_line(steering.RESUME_FUNCTION, task)

    def purge_function(self, task: str | bytes) -> int:
        """Drop the jobs of a task that wait; return how many they were.

        Clients are told that they failed. Raises ProtocolError if the server refuses.
        """
        return steering.number_in(self._ask_line(steering.PURGE_FUNCTION, task))

    def get_dead_jobs(self) -> tuple[DeadJob, ...]:
        """Return a dict for each job of the dead list.

        It has handle, task, attempts, died, reason.
        """
        answer: tuple[DeadJob, ...] = self._ask(steering.SHOW_DEAD)
        return answer

    def retry_job(self, handle: str | bytes) -> str:
        """Queue a job of the dead list again; return the line of the answer."""
        return self._ask_line(steering.RETRY_JOB, handle)

    def forget_job(self, handle: str | bytes) -> str:
        """Drop a job of the dead list; return the line of the answer."""
        return self._ask_line(steering.FORGET_JOB, handle)

    def retry_function(self, task: str | bytes) -> int:
        """Queue the dead jobs of a task again; return how many they were.

        Raises ProtocolError if the server refuses.
        """
        return steering.number_in(self._ask_line(steering.RETRY_FUNCTION, task))

    def forget_function(self, task: str | bytes) -> int:
        """Drop the dead jobs of a task; return how many they were.

        Raises ProtocolError if the server refuses.
        """
        return steering.number_in(self._ask_line(steering.FORGET_FUNCTION, task))

    def get_job(self, handle: str | bytes) -> JobRecord:
        """Return what the server knows of a job, which may be dead.

        Raises ProtocolError if the server does not know it.
        """
        rows: tuple[JobRecord, ...] = self._ask(steering.SHOW_JOB, handle)
        return rows[0]

    def get_workload(self, handle: str | bytes) -> JobWorkload:
        """Return the workload of a job, which may be dead: its first 64 KiB.

        Raises ProtocolError if the server does not know the job.
        """
        rows: tuple[JobWorkload, ...] = self._ask(steering.WORKLOAD, handle)
        return rows[0]

    def list_jobs(
        self,
        task: str | bytes | None = None,
        unique: str | bytes | None = None,
        state: str | None = None,
        limit: int | None = None,
        after: str | bytes | None = None,
    ) -> tuple[JobRecord, ...]:
        """Return jobs in the order of their numbers: at most `limit` (default: 100).

        For the next page, give the handle of the last job as `after`. States are
        waiting, scheduled, awaiting, pending, running and dead. Raises ProtocolError if
        the server refuses.
        """
        words = wanted_jobs(task, unique, state, limit, after)
        answer: tuple[JobRecord, ...] = self._ask(steering.LIST_JOBS, *words)
        return answer

    def get_schedules(self) -> tuple[KnownSchedule, ...]:
        """Return a dict for each schedule of the server.

        It has name, cron, task, next, last, paused, source, owner.
        """
        answer: tuple[KnownSchedule, ...] = self._ask(steering.SHOW_SCHEDULES)
        return answer

    def set_schedule(
        self,
        name: str,
        cron: str,
        task: str | bytes,
        **values: Unpack[ScheduleValues],
    ) -> str:
        """Set or replace a schedule of a task; return the line of the answer.

        The server refuses it if the schedule is in its settings file, or has another
        owner.
        """
        text = steering.schedule_text(cron, task, values)
        return self._ask_line(steering.SET_SCHEDULE, name, text)

    def unset_schedule(self, name: str) -> str:
        """Forget a schedule that was set; return the line of the answer."""
        return self._ask_line(steering.UNSET_SCHEDULE, name)

    def run_schedule(self, name: str) -> str:
        """Have the server submit the job of a schedule now; return the line it sends.

        This counts for no run of the schedule, and can be done while it is paused.
        """
        return self._ask_line(steering.RUN_SCHEDULE, name)

    def pause_schedule(self, name: str) -> str:
        """Let a schedule submit no more jobs; return the line of the answer."""
        return self._ask_line(steering.PAUSE_SCHEDULE, name)

    def resume_schedule(self, name: str) -> str:
        """Let a schedule submit jobs again; return the line of the answer."""
        return self._ask_line(steering.RESUME_SCHEDULE, name)
