"""The blocking admin client: asks a server how it is doing."""

import logging
import time
from collections.abc import Iterable
from typing import Any, Unpack

from . import util
from .admin_client_handler import GearmanAdminClientCommandHandler
from .blocking.sharing import Shared
from .connection_manager import GearmanConnectionManager as GearmanConnectionManager
from .connection_manager import Options
from .errors import (
    ConnectionError,
    InvalidAdminClientState,
    ProtocolError,
)
from .errors import ServerUnavailable as ServerUnavailable
from .payload import as_text, excerpt
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
    """Asks one server, and waits for each answer `poll_timeout` seconds at most.

    See GearmanConnectionManager for `host_list`, which names one server, and the
    options. Every method raises ServerUnavailable if the server cannot be reached,
    InvalidAdminClientState if it does not answer in time, and ProtocolError if the
    answer makes no sense.
    """

    command_handler_class = GearmanAdminClientCommandHandler

    def __init__(
        self,
        host_list: Iterable[Any] | None = None,
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
        self.current_connection: Any = util.unlist(self.connection_list)
        self.current_handler: Any = None

    def establish_admin_connection(self) -> None:
        """Connect, unless that is done."""
        if self.current_connection is None:
            raise self._unavailable()
        try:
            self.establish_connection(self.current_connection)
        except ConnectionError as error:
            raise self._unavailable() from error
        self.current_handler = self.connection_to_handler_map[self.current_connection]

    def _ask(self, command: str, *arguments: object) -> Any:
        words = [as_text(a) if isinstance(a, bytes) else str(a) for a in arguments]
        for word in words:
            if not word or any(character.isspace() for character in word):
                raise ProtocolError(
                    f"{excerpt(word)} cannot be part of an admin command"
                )
        with self._exclusively():
            self.establish_admin_connection()
            self.current_handler.send_text_command(" ".join([command, *words]))
            return self.wait_until_server_responds(command)

    def wait_until_server_responds(self, expected_type: Any) -> Any:
        """Return the answer to what was sent."""
        handler = self.current_handler
        self.poll_connections_until_stopped(
            [self.current_connection],
            lambda any_activity: not handler.response_ready,
            timeout=self.poll_timeout,
        )
        if not handler.response_ready:
            # A late answer would be taken for that to the next request.
            self.handle_error(self.current_connection)
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
        """Return the seconds that an echo takes."""
        with self._exclusively():
            start = time.monotonic()
            self.establish_admin_connection()
            self.current_handler.send_echo_request(ECHO_STRING)
            echo = self.wait_until_server_responds(GEARMAN_COMMAND_ECHO_REQ)
        if echo != ECHO_STRING:
            raise InvalidAdminClientState(
                f"Echo string mismatch: got {excerpt(echo)}, expected {ECHO_STRING!r}"
            )
        return time.monotonic() - start

    def send_maxqueue(self, task: str | bytes, max_size: int) -> Any:
        """Limit how many jobs a task may have; return 'OK'."""
        return self._ask(GEARMAN_SERVER_COMMAND_MAXQUEUE, task, max_size)

    def send_shutdown(self, graceful: bool = True) -> Any:
        """Ask the server to end; servers of today refuse, and that is not told."""
        words = ["graceful"] if graceful else []
        return self._ask(GEARMAN_SERVER_COMMAND_SHUTDOWN, *words)

    def get_status(self) -> Any:
        """Return a dict for each task: task, queued, running, workers."""
        return self._ask(GEARMAN_SERVER_COMMAND_STATUS)

    def get_priority_status(self) -> Any:
        """Return a dict for each task: task, high, normal, low, workers.

        High, normal and low count the jobs of that priority that wait.
        """
        return self._ask(GEARMAN_SERVER_COMMAND_PRIORITYSTATUS)

    def get_version(self) -> Any:
        """Return the line with the server's version, as it is."""
        return self._ask(GEARMAN_SERVER_COMMAND_VERSION)

    def get_workers(self) -> Any:
        """Return a dict for each connection: file_descriptor, ip, client_id, tasks."""
        return self._ask(GEARMAN_SERVER_COMMAND_WORKERS)

    def get_pid(self) -> Any:
        """Return the line with the server's process id."""
        return self._ask(GEARMAN_SERVER_COMMAND_GETPID)

    def get_verbosity(self) -> Any:
        """Return the line with the least important level that the server logs."""
        return self._ask(GEARMAN_SERVER_COMMAND_VERBOSE)

    def get_jobs(self) -> Any:
        """Return a dict for each job: handle, queued, canceled, enabled."""
        return self._ask(GEARMAN_SERVER_COMMAND_SHOW_JOBS)

    def get_unique_jobs(self) -> Any:
        """Return a dict for each job: unique."""
        return self._ask(GEARMAN_SERVER_COMMAND_SHOW_UNIQUE_JOBS)

    def cancel_job(self, handle: str | bytes) -> Any:
        """Cancel a job that is waiting; return the line that the server answers."""
        return self._ask(GEARMAN_SERVER_COMMAND_CANCEL_JOB, handle)

    def create_function(self, task: str | bytes) -> Any:
        """Make a task known without a worker; return the line of the answer."""
        return self._ask(GEARMAN_SERVER_COMMAND_CREATE_FUNCTION, task)

    def drop_function(self, task: str | bytes) -> Any:
        """Forget a task; return the line of the answer.

        The server refuses if the task has workers or jobs.
        """
        return self._ask(GEARMAN_SERVER_COMMAND_DROP_FUNCTION, task)
