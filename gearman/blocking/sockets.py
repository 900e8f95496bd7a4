"""Opens a socket to a server: TCP over IPv4 or IPv6, Unix sockets, TLS."""

import os
import select
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from ..address import UNIX

# The path of a file, of the types that the `ssl` module accepts.
File = str | bytes | os.PathLike[str] | os.PathLike[bytes]


@dataclass(frozen=True, slots=True)
class Keepalive:
    """When the system probes an idle connection (TCP keepalive).

    The first probe is sent after `idle` seconds without data, further ones every
    `interval` seconds. After `count` unanswered probes the connection is lost.
    """

    idle: int = 60
    interval: int = 10
    count: int = 6


def open_socket(
    host: str, port: int, timeout: float | None, context: ssl.SSLContext | None
) -> socket.socket:
    """Return a connected socket; raises OSError.

    The name is resolved each time. All its addresses are tried, each for `timeout`
    seconds at most (None: no limit). The TLS handshake may take as long again.
    """
    if host.startswith(UNIX):
        return _open_unix(host.removeprefix(UNIX), timeout)
    opened = socket.create_connection((host, port), timeout)
    try:
        if is_own_peer(opened):
            raise ConnectionRefusedError(f"nobody listens on port {port}")
        if context is None:
            return opened
        return context.wrap_socket(opened, server_hostname=host)
    except BaseException:
        opened.close()
        raise


def is_own_peer(opened: socket.socket) -> bool:
    """Whether TCP has connected a socket to itself, as no server listens."""
    return bool(opened.getsockname() == opened.getpeername())


def _open_unix(path: str, timeout: float | None) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        opened.settimeout(timeout)
        opened.connect(path)
    except BaseException:
        opened.close()
        raise
    return opened


# Not every system has POLLRDHUP.
_ENDING = getattr(select, "POLLRDHUP", 0)


def poll_for_the_end(opened: socket.socket) -> select.poll:
    """Return a poll that reports an event when the peer may have closed."""
    poll = select.poll()
    poll.register(opened, _ENDING or select.POLLIN)
    return poll


def has_ended(opened: socket.socket) -> bool:
    """Whether the peer has closed a connection whose poll has reported an event.

    Data that the peer sent before may still be unread. Without POLLRDHUP the end is
    found only after that data was read.
    """
    if _ENDING:
        return True
    try:
        # The method of the plain socket: that of TLS sockets does not support MSG_PEEK.
        return not socket.socket.recv(opened, 1, socket.MSG_PEEK)
    except OSError:
        return True


def configure(opened: socket.socket, keepalive: Keepalive | None) -> None:
    """Make a socket non-blocking, without delay for small packets, with keepalive."""
    opened.setblocking(False)
    if opened.family not in (socket.AF_INET, socket.AF_INET6):
        return
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keepalive is None:
        return
    keep_alive(opened, keepalive.idle, keepalive.interval, keepalive.count)


def keep_alive(
    opened: socket.socket, idle: int | None, interval: int | None, count: int | None
) -> None:
    """Have the system probe a TCP connection; None leaves a value to the system."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not every system has these options.
    for name, value in (
        ("TCP_KEEPIDLE", idle),
        ("TCP_KEEPINTVL", interval),
        ("TCP_KEEPCNT", count),
    ):
        option: Any = getattr(socket, name, None)
        if value is not None and option is not None:
            opened.setsockopt(socket.IPPROTO_TCP, option, value)


def tls_context(
    keyfile: File | None, certfile: File, ca_certs: File | None
) -> ssl.SSLContext:
    """Return a TLS context that verifies the server, and shows it a certificate."""
    context = ssl.create_default_context(cafile=ca_certs)
    context.load_cert_chain(certfile, keyfile)
    return context
