"""The way of jobs from `submit_...` to the socket and back, with fewer stops.

It does what the methods that are listed at the end do one after the other, and takes a
third of their time. What is not the usual case, one server and no method replaced, is
left to them, at any point: a request is in the same state then as if they had come that
far.
"""

import socket
from collections.abc import Callable
from typing import Any

from ..client_handler import GearmanClientCommandHandler
from ..commands import REQUEST, Command
from ..connection import GearmanConnection
from ..constants import JOB_CREATED, JOB_PENDING, JOB_UNKNOWN
from ..framing import encode
from ..payload import as_bytes, as_text
from ..protocol import pack
from .seams import Seams
from .server_choice import ServerChoice
from .submission import submission

_CREATED = int(Command.JOB_CREATED)

# Seconds that a handle is waited for here, where other threads have to wait as well.
_PATIENCE = 1.0


def submit_at_once(client: Any, request: Any, timeout: float | None) -> bool:
    """Submit a request and return whether it was accepted.

    The caller has found that the client replaces none of the methods PASSED_BY.
    If not, it may be pending or untouched. Raises what cannot be sent, as
    `send_job_request` of the handler does.
    """
    if client.read_timeout is not None or timeout == 0 or client._others:
        return False
    connection, handler = _open(client)
    if (
        connection is None
        or connection.unsent_bytes
        or handler.requests_awaiting_handles
        or type(connection.gearman_socket) is not socket.socket
    ):
        return False
    packet = _packet(client, request)
    if packet is None:
        return False
    _expect_handle(connection, handler, request)
    try:
        if _sent(connection, packet):
            _receive(client, connection, handler, timeout)
    except OSError:
        client.handle_error(connection)
    return bool(request.state == JOB_CREATED)


def submitter(client: Any) -> Callable[[Any], Any]:
    """Return what does `client.send_job_request` while one wait goes on."""
    connection, handler = _open(client)
    slowly: Callable[[Any], Any] = client.send_job_request
    if connection is None or not _CLIENT.intact(client):
        return slowly

    def submit(request: Any) -> None:
        # Lost and opened again: it has another handler then.
        usable = client.connection_to_handler_map.get(connection) is handler
        packet = _packet(client, request) if usable and connection.connected else None
        if packet is None:
            slowly(request)
        else:
            connection.queue(packet)
            _expect_handle(connection, handler, request)

    return submit


def take_handles(client: Any, connection: Any) -> None:
    """Handle the acceptances that have arrived before anything else."""
    handler = client.connection_to_handler_map[connection]
    packets = getattr(connection, "received_packets", 0)
    if packets < 2 or not _CLIENT.intact(client):
        return
    if not _are_usual(connection, handler):
        return
    for _, (handle,) in connection.take_leading(_CREATED):
        handler.recv_job_created(job_handle=as_text(handle))


def _open(client: Any) -> tuple[Any, Any]:
    """Return the only connection and its handler, if it is usual and has not ended.

    The caller has the client exclusively: in a forked child no other's is open.
    """
    if len(client.connection_list) == 1:
        connection = client.connection_list[0]
        handler = client.connection_to_handler_map.get(connection)
        usable = handler is not None and connection.connected
        if usable and _are_usual(connection, handler) and not connection.has_ended():
            return connection, handler
    return None, None


def _are_usual(connection: Any, handler: Any) -> bool:
    return _HANDLER.intact(handler) and _CONNECTION.intact(connection)


def _packet(client: Any, request: Any) -> bytes | None:
    """Return what submits a request; None if that needs more than a shortcut."""
    if (
        request.state != JOB_UNKNOWN
        or request.connection_attempts >= request.max_connection_attempts
    ):
        return None
    command, extra = submission(request)
    if extra:
        return None
    job = request.gearman_job
    data = client.data_encoder.encode(job.data)
    try:
        task, unique, data = as_bytes(job.task), as_bytes(job.unique), as_bytes(data)
        if 0 not in task and 0 not in unique:
            return encode(command, (task, unique, data), REQUEST)
    except TypeError:
        pass
    # It says what is wrong.
    return pack(command, {"task": job.task, "unique": job.unique, "data": data})


def _expect_handle(connection: Any, handler: Any, request: Any) -> None:
    request.gearman_job.connection = connection
    request.connection_attempts += 1
    request.timed_out = False
    request.state = JOB_PENDING
    handler.requests_awaiting_handles.append(request)


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
    """Wait for the handle a while, and handle it and what comes with it."""
    opened = connection.gearman_socket
    timeout = _PATIENCE if timeout is None else min(timeout, _PATIENCE)
    if not client._dialogue.wait_to_read(opened.fileno(), timeout):
        return
    data = opened.recv(1 << 16)
    if not data:
        raise ConnectionResetError("remote disconnected")
    connection.feed(data)
    for _, (handle,) in connection.take_leading(_CREATED):
        handler.recv_job_created(job_handle=as_text(handle))
    if connection.received_packets:
        client._guarded(client._handle_received, connection, set())


PASSED_BY = (
    *("establish_request_connection", "establish_connection", "send_command"),
    *("poll_connections_until_stopped", "poll_connections_once", "read_command"),
    *("handle_connection_activity", "handle_read", "handle_write"),
)
_CLIENT = Seams(ServerChoice, *PASSED_BY)
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
