"""The admin client's side of a connection: sends commands, parses the answers."""

import logging
import re
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypedDict

from .client_core import steering
from .command_handler import GearmanCommandHandler
from .errors import InvalidAdminClientState, ProtocolError
from .payload import LIMIT, Payload, as_text, excerpt
from .protocol import (
    GEARMAN_COMMAND_ECHO_REQ,
    GEARMAN_COMMAND_TEXT_COMMAND,
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

gearman_logger = logging.getLogger(__name__)

EXPECTED_GEARMAN_SERVER_COMMANDS = {
    GEARMAN_SERVER_COMMAND_STATUS,
    GEARMAN_SERVER_COMMAND_VERSION,
    GEARMAN_SERVER_COMMAND_WORKERS,
    GEARMAN_SERVER_COMMAND_MAXQUEUE,
    GEARMAN_SERVER_COMMAND_SHUTDOWN,
    GEARMAN_SERVER_COMMAND_GETPID,
    GEARMAN_SERVER_COMMAND_SHOW_JOBS,
    GEARMAN_SERVER_COMMAND_SHOW_UNIQUE_JOBS,
    GEARMAN_SERVER_COMMAND_CANCEL_JOB,
    GEARMAN_SERVER_COMMAND_PRIORITYSTATUS,
    GEARMAN_SERVER_COMMAND_VERBOSE,
    GEARMAN_SERVER_COMMAND_CREATE_FUNCTION,
    GEARMAN_SERVER_COMMAND_DROP_FUNCTION,
    *steering.LISTS,
    *steering.LINES,
}

# A client id may contain spaces. The colon after it has a space on both sides.
_WORKER = re.compile(r"(\S+) (\S+) (.*?) ?:(?: (.*))?")


class TaskStatus(TypedDict):
    """How many jobs and workers a task has; `queued` counts running jobs too."""

    task: str
    queued: int
    running: int
    workers: int


class TaskPriorities(TypedDict):
    """How many jobs of each priority wait, and how many workers a task has."""

    task: str
    high: int
    normal: int
    low: int
    workers: int


class ConnectedPeer(TypedDict):
    """A connection of the server, and the tasks that its worker has registered."""

    file_descriptor: str
    ip: str
    client_id: str
    tasks: tuple[str, ...]


class KnownJob(TypedDict):
    """A job that the server has; the numbers mean the same as gearmand's."""

    handle: str
    queued: int
    canceled: int
    enabled: int


class KnownUnique(TypedDict):
    """The unique of a job that the server has."""

    unique: str


# A line, the text that an echo sends back, or the rows of a list.
Answer = (
    str
    | Payload
    | tuple[TaskStatus, ...]
    | tuple[TaskPriorities, ...]
    | tuple[ConnectedPeer, ...]
    | tuple[KnownJob, ...]
    | tuple[KnownUnique, ...]
    | ProtocolError
    | None
)


class AdminAnswer(NamedTuple):
    """A command, and the server's answer; there is None for a shutdown."""

    command: str | int
    answer: Answer


class GearmanAdminClientCommandHandler(GearmanCommandHandler):
    """Joins the lines of each answer; answers come in the order of the commands."""

    STATUS_FIELDS = 4
    WORKERS_FIELDS = 4
    JOB_FIELDS = 4
    PRIORITY_FIELDS = 5

    def __init__(self, connection_manager: Any = None) -> None:
        super().__init__(connection_manager=connection_manager)
        self._sent_commands: deque[str | int] = deque()
        self._recv_responses: deque[Answer] = deque()
        self._rows: list[Any] = []

    # Called by the admin client.

    @property
    def response_ready(self) -> bool:
        """Whether a complete answer has arrived."""
        return bool(self._recv_responses)

    def pop_response(self) -> AdminAnswer:
        """Return the oldest command and its answer.

        Raises InvalidAdminClientState if there is no answer.
        """
        if not self._sent_commands or not self._recv_responses:
            raise InvalidAdminClientState("No answer is there to be taken")
        return AdminAnswer(
            self._sent_commands.popleft(), self._recv_responses.popleft()
        )

    def send_text_command(self, command_line: str | bytes) -> None:
        """Send a command; raises ProtocolError unless it is one line and is known."""
        line = as_text(command_line)
        known = [c for c in EXPECTED_GEARMAN_SERVER_COMMANDS if line.startswith(c)]
        if not known:
            raise ProtocolError(
                f"Attempted to send an unknown server command: {excerpt(line)}"
            )
        if "\n" in line:
            raise ProtocolError(f"A server command is one line: {excerpt(line)}")
        self._sent_commands.append(max(known, key=len))
        self.send_command(GEARMAN_COMMAND_TEXT_COMMAND, raw_text=f"{line}\r\n")

    def send_echo_request(self, echo_string: str | bytes) -> None:
        """Have the server send a text back."""
        self._sent_commands.append(GEARMAN_COMMAND_ECHO_REQ)
        self.send_command(GEARMAN_COMMAND_ECHO_REQ, data=echo_string)

    # Packets from the server.

    def recv_echo_res(self, data: Payload) -> bool:
        self._recv_responses.append(data)
        return False

    def recv_text_command(self, raw_text: str) -> bool:
        """Call the `recv_server_...` method of the oldest unanswered command."""
        if not self._sent_commands:
            raise InvalidAdminClientState("Received an unexpected server response")
        command = str(self._sent_commands[0])
        name = "recv_server_" + command.replace(" ", "_")
        callback = getattr(self, name, None)
        if command in steering.LISTS:
            return self._item(raw_text, steering.LISTS[command])
        if command in steering.LINES:
            return self._answer(raw_text)
        if callback is None:
            raise ValueError(
                f"Could not handle command: {command!r} - {excerpt(raw_text)}"
            )
        return bool(callback(raw_text))

    def _answer(self, answer: Answer) -> bool:
        self._recv_responses.append(answer)
        return False

    def _row(self, raw_text: str, row: Callable[[str], object]) -> bool:
        """Add a line, parsed by `row`; a line with only a full stop ends the list."""
        if raw_text == ".":
            rows, self._rows = self._rows, []
            return self._answer(tuple(rows))
        self._rows.append(row(raw_text))
        return True

    def _item(self, raw_text: str, row: Callable[[str], object]) -> bool:
        """Add a line of a list that the server may refuse with a line."""
        if not self._rows and raw_text.startswith("ERR ") and "\t" not in raw_text:
            return self._answer(ProtocolError(raw_text))
        return self._row(raw_text, row)

    def recv_server_status(self, raw_text: str) -> bool:
        return self._row(raw_text, self._status)

    def recv_server_prioritystatus(self, raw_text: str) -> bool:
        return self._row(raw_text, self._priorities)

    def recv_server_workers(self, raw_text: str) -> bool:
        return self._row(raw_text, self._worker)

    def recv_server_show_jobs(self, raw_text: str) -> bool:
        return self._row(raw_text, self._job)

    def recv_server_show_unique_jobs(self, raw_text: str) -> bool:
        return self._row(raw_text, lambda line: {"unique": line})

    def recv_server_version(self, raw_text: str) -> bool:
        return self._answer(raw_text)

    def recv_server_getpid(self, raw_text: str) -> bool:
        return self._answer(raw_text)

    def recv_server_verbose(self, raw_text: str) -> bool:
        return self._answer(raw_text)

    def recv_server_create_function(self, raw_text: str) -> bool:
        return self._answer(raw_text)

    def recv_server_drop_function(self, raw_text: str) -> bool:
        return self._answer(raw_text)

    def recv_server_cancel_job(self, raw_text: str) -> bool:
        return self._answer(raw_text)

    def recv_server_maxqueue(self, raw_text: str) -> bool:
        if raw_text != "OK":
            raise ProtocolError(f"Expected 'OK', received: {raw_text[:LIMIT]}")
        return self._answer(raw_text)

    def recv_server_shutdown(self, raw_text: str) -> bool:
        return self._answer(None)

    # How the lines of a list are parsed.

    def _status(self, line: str) -> TaskStatus:
        task, queued, running, workers = _fields(line, self.STATUS_FIELDS)
        return {
            "task": task,
            "queued": _integer(queued, line),
            "running": _integer(running, line),
            "workers": _integer(workers, line),
        }

    def _priorities(self, line: str) -> TaskPriorities:
        task, high, normal, low, workers = _fields(line, self.PRIORITY_FIELDS)
        return {
            "task": task,
            "high": _integer(high, line),
            "normal": _integer(normal, line),
            "low": _integer(low, line),
            "workers": _integer(workers, line),
        }

    def _worker(self, line: str) -> ConnectedPeer:
        found = _WORKER.fullmatch(line)
        if found is None:
            raise ProtocolError(f"Malformed worker response: {excerpt(line)}")
        descriptor, ip, client_id, tasks = found.groups()
        return {
            "file_descriptor": descriptor,
            "ip": ip,
            "client_id": client_id,
            "tasks": tuple((tasks or "").split()),
        }

    def _job(self, line: str) -> KnownJob:
        handle, queued, canceled, enabled = _fields(line, self.JOB_FIELDS)
        return {
            "handle": handle,
            "queued": _integer(queued, line),
            "canceled": _integer(canceled, line),
            "enabled": _integer(enabled, line),
        }


def _fields(line: str, expected: int) -> list[str]:
    fields = line.split("\t")
    if len(fields) != expected:
        raise ProtocolError(
            f"Received {len(fields)} tokens, expected {expected} tokens: "
            f"{excerpt(line)}"
        )
    return fields


def _integer(field: str, line: str) -> int:
    if not field.isascii() or not field.isdigit():
        raise ProtocolError(
            f"Expected a number, received {excerpt(field)} in {excerpt(line)}"
        )
    return int(field)
