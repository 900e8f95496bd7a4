"""The admin client for asyncio: sends admin commands to one server."""

import asyncio
import ssl
import time
from typing import Any, Final, Self, Unpack

from ..admin_client_handler import (
    ConnectedPeer,
    KnownJob,
    KnownUnique,
    TaskPriorities,
    TaskStatus,
)
from ..blocking.sockets import Keepalive
from ..client_core import steering
from ..client_core.admin_lines import line, policy_text, wanted_jobs
from ..client_core.steering import (
    DeadJob,
    FunctionPolicy,
    JobRecord,
    JobWorkload,
    KnownSchedule,
    ScheduleValues,
)
from ..errors import ConnectionError
from ..protocol import (
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
from .admin_link import AdminLink
from .servers import Opening, Server, servers_of, unavailable

_ECHO: Final = "ping? pong!"

Name = str | bytes


class Admin:
    """Sends admin commands to one server, and returns its answers.

    See Client for the address and the options of connections. A method waits for its
    answer `timeout` seconds at most (None: no limit), and raises TimeoutError then. It
    raises ServerUnavailable if the server cannot be reached, and ProtocolError if the
    server refuses the command, if the answer cannot be parsed, or if an argument is
    empty or has white space in it.

    Raises ValueError for what is no address, and if GEARMAN_SERVERS names several.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        timeout: float | None = 10.0,
        tls: ssl.SSLContext | bool | None = None,
        connect_timeout: float | None = 10.0,
        keepalive: Keepalive | None = Keepalive(),  # noqa: B008 - it is frozen
        max_packet: int | None = None,
    ) -> None:
        opening = Opening(tls, connect_timeout, keepalive, max_packet)
        addresses = [] if address is None else [address]
        servers = servers_of(addresses, opening, AdminLink)
        if len(servers) > 1:
            raise ValueError(
                f"an admin client asks one server, not {len(servers)}: name it"
            )
        self._server: Server[AdminLink] = servers[0]
        self.timeout = timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; the next command opens it again."""
        await self._server.close("the admin client was closed")

    async def _open(self) -> AdminLink:
        try:
            return await self._server.open()
        except ConnectionError as error:
            raise unavailable([error]) from error

    async def _ask(self, command: str, *arguments: object) -> Any:
        text = line(command, *arguments)
        async with asyncio.timeout(self.timeout):
            link = await self._open()
            return await link.ask(text)

    async def _ask_line(self, command: str, *arguments: object) -> str:
        answer: str = await self._ask(command, *arguments)
        return answer

    async def _ask_list(self, command: str, *arguments: object) -> tuple[Any, ...]:
        answer: tuple[Any, ...] = await self._ask(command, *arguments)
        return answer

    # The server.

    async def ping(self) -> float:
        """Have the server send back a short text; return how many seconds this took."""
        async with asyncio.timeout(self.timeout):
            link = await self._open()
            start = time.monotonic()
            await link.echo(_ECHO)
            return time.monotonic() - start

    async def version(self) -> str:
        """Return the whole line that has the server's version."""
        return await self._ask_line(GEARMAN_SERVER_COMMAND_VERSION)

    async def pid(self) -> str:
        """Return the whole line that has the server's process id."""
        return await self._ask_line(GEARMAN_SERVER_COMMAND_GETPID)

    async def verbosity(self) -> str:
        """Return the whole line that has the lowest level that the server logs."""
        return await self._ask_line(GEARMAN_SERVER_COMMAND_VERBOSE)

    async def shutdown(self, graceful: bool = True) -> None:
        """Ask the server to stop; it ends its jobs first if `graceful`.

        The answer is not checked. gearmand refuses this since version 1.1.15.
        """
        words = ["graceful"] if graceful else []
        await self._ask(GEARMAN_SERVER_COMMAND_SHUTDOWN, *words)

    async def workers(self) -> tuple[ConnectedPeer, ...]:
        """Return a dict for each connection: file_descriptor, ip, client_id, tasks."""
        return await self._ask_list(GEARMAN_SERVER_COMMAND_WORKERS)

    # Functions.

    async def status(self) -> tuple[TaskStatus, ...]:
        """Return a dict for each function: task, queued, running, workers.

        `queued` counts the running jobs too, as gearmand does.
        """
        return await self._ask_list(GEARMAN_SERVER_COMMAND_STATUS)

    async def priority_status(self) -> tuple[TaskPriorities, ...]:
        """Return a dict for each function: task, high, normal, low, workers.

        `high`, `normal` and `low` count the waiting jobs of that priority.
        """
        return await self._ask_list(GEARMAN_SERVER_COMMAND_PRIORITYSTATUS)

    async def stats(self) -> tuple[dict[str, Any], ...]:
        """Return dicts with what has happened: of the server, and of each function.

        Their keys are in docs/monitoring.md. gearmand does not have this.
        """
        return await self._ask_list(steering.SHOW_STATS)

    async def cluster(self) -> tuple[dict[str, Any], ...]:
        """Return dicts of the server's cluster: itself, and each of its servers.

        There are none without a cluster. Their keys are in docs/cluster.md. gearmand
        does not have this.
        """
        return await self._ask_list(steering.SHOW_CLUSTER)

    async def maxqueue(self, function: Name, size: int) -> str:
        """Limit how many jobs a function may have, running ones included.

        With a `size` of 0 there is no limit, as in gearmand. Returns 'OK'.
        """
        return await self._ask_line(GEARMAN_SERVER_COMMAND_MAXQUEUE, function, size)

    async def create_function(self, function: Name) -> str:
        """Make a function known without a worker; return the line of the answer."""
        return await self._ask_line(GEARMAN_SERVER_COMMAND_CREATE_FUNCTION, function)

    async def drop_function(self, function: Name) -> str:
        """Make the server forget a function; return the line of the answer.

        The server refuses this if the function has workers or jobs.
        """
        return await self._ask_line(GEARMAN_SERVER_COMMAND_DROP_FUNCTION, function)

    # Other servers than ours do not have the commands from here to the jobs.

    async def set_function(self, function: Name, **values: object) -> str:
        """Set values of a function's policy; return the line of the answer.

        The values are those of a policy, such as `retries=3` or `max_running=2`; those
        that are not named stay as they are. Raises OptionError if one is not allowed,
        or if there is none.
        """
        return await self._ask_line(
            steering.SET_FUNCTION, function, policy_text(values)
        )

    async def unset_function(self, function: Name) -> str:
        """Forget all that was set for a function; return the line of the answer."""
        return await self._ask_line(steering.UNSET_FUNCTION, function)

    async def policies(self) -> tuple[FunctionPolicy, ...]:
        """Return a dict for each function that has a policy: task, policy."""
        return await self._ask_list(steering.SHOW_POLICIES)

    async def pause_function(self, function: Name) -> str:
        """Let no more jobs of a function start; return the line of the answer."""
        return await self._ask_line(steering.PAUSE_FUNCTION, function)

    async def resume_function(self, function: Name) -> str:
        """Let jobs of a function start again; return the line of the answer."""
        return await self._ask_line(steering.RESUME_FUNCTION, function)

    async def _count(self, command: str, function: Name) -> int:
        return steering.number_in(await self._ask_line(command, function))

    async def purge_function(self, function: Name) -> int:
        """Drop the jobs of a function that wait; return how many they were.

        Clients are told that they failed.
        """
        return await self._count(steering.PURGE_FUNCTION, function)

    async def retry_function(self, function: Name) -> int:
        """Queue the dead jobs of a function again; return how many they were."""
        return await self._count(steering.RETRY_FUNCTION, function)

    async def forget_function(self, function: Name) -> int:
        """Drop the dead jobs of a function; return how many they were."""
        return await self._count(steering.FORGET_FUNCTION, function)

    async def schedules(self) -> tuple[KnownSchedule, ...]:
        """Return a dict for each schedule of the server.

        It has name, cron, task, next, last, paused, source, owner.
        """
        return await self._ask_list(steering.SHOW_SCHEDULES)

    async def set_schedule(
        self, name: str, cron: str, function: Name, **values: Unpack[ScheduleValues]
    ) -> str:
        """Set or replace a schedule of a function; return the line of the answer.

        The server refuses it if the schedule is in its settings file, or has another
        owner.
        """
        text = steering.schedule_text(cron, function, values)
        return await self._ask_line(steering.SET_SCHEDULE, name, text)

    async def unset_schedule(self, name: str) -> str:
        """Forget a schedule that was set; return the line of the answer."""
        return await self._ask_line(steering.UNSET_SCHEDULE, name)

    async def run_schedule(self, name: str) -> str:
        """Have the server submit the job of a schedule now; return the line it sends.

        This counts for no run of the schedule, and can be done while it is paused.
        """
        return await self._ask_line(steering.RUN_SCHEDULE, name)

    async def pause_schedule(self, name: str) -> str:
        """Let a schedule submit no more jobs; return the line of the answer."""
        return await self._ask_line(steering.PAUSE_SCHEDULE, name)

    async def resume_schedule(self, name: str) -> str:
        """Let a schedule submit jobs again; return the line of the answer."""
        return await self._ask_line(steering.RESUME_SCHEDULE, name)

    async def dead_jobs(self) -> tuple[DeadJob, ...]:
        """Return a dict for each dead job: handle, task, attempts, died, reason."""
        return await self._ask_list(steering.SHOW_DEAD)

    async def retry_job(self, handle: Name) -> str:
        """Queue a dead job again; return the line of the answer."""
        return await self._ask_line(steering.RETRY_JOB, handle)

    async def forget_job(self, handle: Name) -> str:
        """Drop a dead job; return the line of the answer."""
        return await self._ask_line(steering.FORGET_JOB, handle)

    async def job(self, handle: Name) -> JobRecord:
        """Return what the server knows of a job, which may be dead.

        Raises ProtocolError if the server does not know it.
        """
        rows = await self._ask_list(steering.SHOW_JOB, handle)
        record: JobRecord = rows[0]
        return record

    async def workload(self, handle: Name) -> JobWorkload:
        """Return the workload of a job, which may be dead: its first 64 KiB.

        Raises ProtocolError if the server does not know the job.
        """
        rows = await self._ask_list(steering.WORKLOAD, handle)
        workload: JobWorkload = rows[0]
        return workload

    async def list_jobs(
        self,
        function: Name | None = None,
        unique: Name | None = None,
        state: str | None = None,
        limit: int | None = None,
        after: Name | None = None,
    ) -> tuple[JobRecord, ...]:
        """Return jobs in the order of their numbers: at most `limit` (default: 100).

        For the next page, give the handle of the last job as `after`. States are
        waiting, scheduled, awaiting, pending, running and dead.
        """
        words = wanted_jobs(function, unique, state, limit, after)
        return await self._ask_list(steering.LIST_JOBS, *words)

    # Jobs.

    async def jobs(self) -> tuple[KnownJob, ...]:
        """Return a dict for each job: handle, queued, canceled, enabled (numbers)."""
        return await self._ask_list(GEARMAN_SERVER_COMMAND_SHOW_JOBS)

    async def unique_jobs(self) -> tuple[KnownUnique, ...]:
        """Return a dict for each job: unique."""
        return await self._ask_list(GEARMAN_SERVER_COMMAND_SHOW_UNIQUE_JOBS)

    async def cancel_job(self, handle: Name) -> str:
        """Cancel a job; return the line of the answer."""
        return await self._ask_line(GEARMAN_SERVER_COMMAND_CANCEL_JOB, handle)
