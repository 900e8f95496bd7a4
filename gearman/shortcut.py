"""The way of a single job from `submit_job` to the socket and back, in one go.

It does what the methods that are listed at the end do one after the other, and takes
half as long. What is not the usual case is left to them, at any point: the request is
in the same state then as if they had come that far.
"""

import os
import socket
from typing import Any

from .client_handler import GearmanClientCommandHandler
from .commands import Command
from .connection import GearmanConnection
from .constants import JOB_CREATED, JOB_PENDING, JOB_UNKNOWN
from .payload import as_text
from .protocol import pack
from .seams import Seams
from .server_choice import ServerChoice
from .submission import submission

_CREATED = int(Command.JOB_CREATED)


def submit_at_once(client: Any, request: Any, timeout: float | None) -> bool:
    """Submit a request and return whether it was accepted.

    If not, it may be pending or untouched. Raises what cannot be sent, as
    `send_job_request` of the handler does.
    """
    connections = client.connection_list
    if len(connections) != 1 or client.read_timeout is not None or timeout == 0:
        return False
    connection = connections[0]
    handler = client.connection_to_handler_map.get(connection)
    if (
        handler is None
        or not _is_idle(client, connection, handler, request)
        or not _CLIENT.intact(client)
        or not _HANDLER.intact(handler)
        or not _CONNECTION.intact(connection)
    ):
        return False
    command, extra = submission(request)
    if extra:
        return False
    job = request.job
    data = client.data_encoder.encode(job.data)
    packet = pack(command, {"task": job.task, "unique": job.unique, "data": data})
    job.connection = connection
    request.connection_attempts += 1
    request.timed_out = False
    request.state = JOB_PENDING
    handler.requests_awaiting_handles.append(request)
    try:
        if _sent(connection, packet):
            _receive(client, connection, handler, timeout)
    except OSError:
        client.handle_error(connection)
    return bool(request.state == JOB_CREATED)


def _is_idle(client: Any, connection: Any, handler: Any, request: Any) -> bool:
    """Whether nothing comes before this request, and it may be submitted."""
    return bool(
        connection.connected
        and type(connection.gearman_socket) is socket.socket
        and not connection.unsent_bytes
        and not handler.requests_awaiting_handles
        and request.state == JOB_UNKNOWN
        and request.connection_attempts < request.max_connection_attempts
        and client._process == os.getpid()
    )


def _sent(connection: Any, packet: bytes) -> bool:
    """Write a packet; what the socket does not take is queued."""
    try:
        sent = connection.gearman_socket.send(packet)
    except BlockingIOError:
        sent = 0
    if sent == len(packet):
        return True
    connection.queue(packet[sent:])
    return False


def _receive(client: Any, connection: Any, handler: Any, timeout: float | None) -> None:
    """Wait for the handle, and handle it and what comes with it."""
    opened = connection.gearman_socket
    read, _ = client._dialogue.wait(opened.fileno(), False, timeout, None)
    if not read:
        return
    data = opened.recv(1 << 16)
    if not data:
        raise ConnectionResetError("remote disconnected")
    connection.feed(data)
    arguments = connection.take_only(_CREATED)
    if arguments is not None:
        handler.recv_job_created(job_handle=as_text(arguments[0]))
    else:
        client._guarded(client._handle_received, connection, set())


_CLIENT = Seams(
    ServerChoice,
    *("establish_request_connection", "establish_connection", "send_command"),
    *("poll_connections_until_stopped", "poll_connections_once", "read_command"),
    *("handle_connection_activity", "handle_read", "handle_write"),
)
_HANDLER = Seams(
    GearmanClientCommandHandler,
    *("send_job_request", "send_command", "encode_data"),
    *("fetch_commands", "recv_command"),
)
_CONNECTION = Seams(
    GearmanConnection,
    *("send_command", "_pack_command", "send_commands_to_buffer"),
    *("send_data_to_socket", "read_data_from_socket", "read_commands_from_buffer"),
    *("read_command", "fileno", "readable", "writable"),
)
