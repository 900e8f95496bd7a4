"""A faster way to submit a job and get its result, for one server.

It does not call the methods that programs may replace, which would take half of the
time. So it is used only if no program has replaced one (see `seams`). Packets have the
same effects, since `gearman.client_core` decides these. After any step the usual
methods can do the rest.
"""

import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from ..client_core.steered import steered_submission
from ..client_core.submission import begin_attempt, submission
from ..client_handler import GearmanClientCommandHandler
from ..command_handler import GearmanCommandHandler
from ..commands import Command
from ..connection import GearmanConnection
from ..constants import JOB_CREATED, JOB_PENDING, JOB_UNKNOWN
from ..framing import Packet
from ..job import Connection, GearmanJobRequest
from ..payload import as_text
from ..protocol import pack_request
from .inbox import command_of
from .polling import Dialogue
from .seams import Seams
from .waiting import Submit

_CREATED = int(Command.JOB_CREATED)

# The longest wait for a packet here, in seconds and in milliseconds. Other threads
# cannot use the client during this wait.
_LONG = 1.0
_PATIENCE = 1000

# The states of requests in which a wait goes on.
UNACCEPTED = (JOB_PENDING,)
UNENDED = (JOB_PENDING, JOB_CREATED)

Encode = Callable[[Any], str | bytes]

# An open connection and its handler, both without replaced methods.
Way = tuple[GearmanConnection, GearmanClientCommandHandler]


def find(
    connections: Sequence[GearmanConnection],
    handlers: Mapping[Connection, GearmanCommandHandler],
    idle: bool = True,
) -> Way | None:
    """Return the connection if it is the only one, open, and without replaced methods.

    With `idle` it must also have no unsent data and no unanswered submissions.
    """
    if len(connections) != 1:
        return None
    way = usual(connections[0], handlers)
    if way is None:
        return None
    connection, handler = way
    if idle and (connection.unsent_bytes or handler.requests_awaiting_handles):
        return None
    return None if connection.has_ended() else way


def usual(
    connection: GearmanConnection, handlers: Mapping[Connection, GearmanCommandHandler]
) -> Way | None:
    """Return a connection and its handler if it is open and no method is replaced."""
    handler = handlers.get(connection)
    if (
        handler is not None
        and connection.connected
        and type(connection.gearman_socket) is socket.socket
        and _HANDLER.intact(handler)
        and _CONNECTION.intact(connection)
        and not connection.inbox.commands
    ):
        return connection, handler  # type: ignore[return-value]
    return None


def knows_extensions(way: Way) -> bool:
    """Whether it is known how the server is told the options of a request."""
    return way[1].extensions is not None


def packet_of(way: Way, request: GearmanJobRequest) -> bytes:
    """Return the packet that submits a request; the request awaits its handle then.

    Raises the same errors as `send_job_request` of the client and of the handler.
    """
    return _packet_of(way, request, way[1].encode_data)


def _packet_of(way: Way, request: GearmanJobRequest, encode: Encode) -> bytes:
    connection, handler = way
    begin_attempt(request, connection)
    data = encode(request.gearman_job.data)
    if request.options is None:
        packet = pack_request(*submission(request, data))
    else:
        extensions = bool(handler.extensions)
        submitted = steered_submission(request, data, extensions, time.time())
        packet = pack_request(*submitted)
    handler.open_requests.submitted(request)
    return packet


def send_and_wait(
    way: Way,
    packet: bytes,
    request: GearmanJobRequest,
    dialogue: Dialogue,
    waited: Sequence[str],
    timeout: float | None,
) -> None:
    """Submit a request; wait until its state is not in `waited`, or the time is up.

    The time is `timeout` seconds (None: no limit), or a second without a packet. The
    connection must have no unsent data. Raises ConnectionError if the connection is
    lost, and the errors of the methods that handle answers.
    """
    connection, handler = way
    if not connection.send_at_once(packet):
        return
    number = connection.fileno()
    milliseconds = _PATIENCE
    end = None
    if timeout is not None:
        end = time.monotonic() + timeout
        if timeout < _LONG:
            milliseconds = ceil(timeout * 1000)
    while milliseconds > 0 and dialogue.wait_to_read(number, milliseconds):
        connection.receive()
        act(way)
        if request.state not in waited:
            return
        if end is not None:
            left = end - time.monotonic()
            milliseconds = _PATIENCE if left > _LONG else ceil(left * 1000)


def act(way: Way) -> None:
    """Have the handler act on the packets that have arrived.

    Raises ProtocolError for a packet that is no command; what follows cannot be read.
    """
    connection, handler = way
    packets = connection.inbox.packets
    if len(packets) > 1 and _ACCEPTING.intact(handler):
        handler.open_requests.all_created(_handles(packets))
    while packets:
        packet = packets.popleft()
        if packet[0] == _CREATED:
            # The same as `as_text`, without the time for a call.
            name: bytes = packet[1][0]  # type: ignore[index]
            handle = str(name, "utf-8", "surrogateescape")
            handler.recv_job_created(job_handle=handle)
        else:
            number, arguments = command_of(packet)
            handler.recv_command(number, **arguments)


def _handles(packets: deque[Packet]) -> Iterator[str]:
    """Take the first packets, as far as they are JOB_CREATED; yield their handles."""
    while packets and packets[0][0] == _CREATED:
        name: bytes = packets.popleft()[1][0]  # type: ignore[index]
        try:
            handle = name.decode()
        except UnicodeDecodeError:
            handle = as_text(name)
        yield handle


def submitter(
    connections: Sequence[GearmanConnection],
    handlers: Mapping[Connection, GearmanCommandHandler],
    slowly: Submit,
) -> Submit:
    """Return a function that submits requests, directly as long as that is possible."""
    way = find(connections, handlers, idle=False)
    if way is None:
        return slowly
    connection, handler = way

    def submit(
        waiting: deque[GearmanJobRequest], most: int, most_bytes: int
    ) -> list[GearmanJobRequest]:
        # A connection that was lost and opened again has another handler.
        usable = connection.connected and handlers.get(connection) is handler
        submitted = _submit_first(way, waiting, most, most_bytes) if usable else []
        return submitted or slowly(waiting, most, most_bytes)

    return submit


def _submit_first(
    way: Way, waiting: deque[GearmanJobRequest], most: int, most_bytes: int
) -> list[GearmanJobRequest]:
    """Queue the first requests, up to one that was submitted or needs a question."""
    connection, handler = way
    encode, knows = _encoder(handler), knows_extensions(way)
    submitted: list[GearmanJobRequest] = []
    packets: list[bytes] = []
    size = 0
    try:
        while waiting and len(packets) < most and size <= most_bytes:
            request = waiting[0]
            if request.last_state != JOB_UNKNOWN:
                break
            if not knows and request.options is not None:
                break
            waiting.popleft()
            packet = _packet_of(way, request, encode)
            packets.append(packet)
            size += len(packet)
            submitted.append(request)
    finally:
        connection.queue_all(packets, size)
    return submitted


def _encoder(handler: GearmanClientCommandHandler) -> Encode:
    """Return what encodes workloads for a handler."""
    if _ENCODING.intact(handler):
        return handler.connection_manager.data_encoder.encode
    return handler.encode_data


# The methods that are not called: of the client (which checks these itself), of the
# handler, and of the connection.
PASSED_BY = (
    *("establish_request_connection", "establish_connection", "send_command"),
    *("poll_connections_until_stopped", "poll_connections_once", "read_command"),
    *("handle_connection_activity", "handle_read", "handle_write"),
)
_HANDLER = Seams(
    GearmanClientCommandHandler,
    *("send_job_request", "send_command", "fetch_commands", "recv_command"),
)
# Not called for several requests, or if several packets have arrived.
_ENCODING = Seams(GearmanClientCommandHandler, "encode_data")
_ACCEPTING = Seams(GearmanClientCommandHandler, "recv_job_created")
_CONNECTION = Seams(
    GearmanConnection,
    *("send_command", "_pack_command", "send_commands_to_buffer"),
    *("send_data_to_socket", "read_data_from_socket", "read_commands_from_buffer"),
    *("read_command", "readable", "writable"),
)
