"""Opening the listening sockets of the configured endpoints."""

import errno
import grp
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress

from ...errors import StartupError
from ..connections.peers import describe
from ..settings.config import Endpoint

# Both address families, if no host is given. IPv4 is first: if any free port is wanted,
# IPv6 then uses the same one.
_ANY = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104


_MISSING_FAMILY = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}


class InheritedSocket(socket.socket):
    """A listening socket that another process has opened, which keeps it open.

    If it is a Unix socket, its file is not removed.
    """


def open_all(endpoints: Iterable[Endpoint], backlog: int | None) -> list[socket.socket]:
    """Listen on every endpoint; `backlog` connections may wait to be accepted.

    If it is None, addresses are only bound: connections are refused until `listen`. If
    one endpoint fails, all are closed. Raises StartupError.
    """
    opened: list[socket.socket] = []
    try:
        for endpoint in endpoints:
            if endpoint.path:
                opened.append(_open_unix(endpoint, backlog))
            else:
                _open_tcp(endpoint, backlog, opened)
    except BaseException:
        close_all(opened)
        raise
    return opened


def open_groups(
    groups: Iterable[Iterable[Endpoint]], backlog: int | None
) -> list[list[socket.socket]]:
    """Listen on the endpoints of each group; if one fails, close all.

    Raises StartupError, as `open_all` does.
    """
    opened: list[list[socket.socket]] = []
    try:
        for endpoints in groups:
            opened.append(open_all(endpoints, backlog))
    except BaseException:
        for group in opened:
            close_all(group)
        raise
    return opened


def close_all(opened: Iterable[socket.socket]) -> None:
    """Close listening sockets, and remove the files of Unix sockets."""
    for sock in opened:
        remove_file(sock)
        sock.close()


def listen(opened: Iterable[socket.socket], backlog: int) -> None:
    """Listen on bound sockets. Raises StartupError."""
    for sock in opened:
        try:
            sock.listen(backlog)
        except OSError as error:
            where = describe(sock.getsockname())
            raise StartupError(f"cannot listen on {where}: {_reason(error)}") from error


def refuse(opened: Iterable[socket.socket]) -> None:
    """Refuse connections on TCP sockets, which stay bound, until `listen`.

    Those that do not listen are left alone: shut down, they would pass that on to each
    connection that they accept later.
    """
    for sock in opened:
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            # Only Linux allows it.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def remove_file(sock: socket.socket) -> None:
    """Remove the file of an open Unix socket, so that no more peers connect."""
    if sock.family == socket.AF_UNIX and not isinstance(sock, InheritedSocket):
        with suppress(OSError):
            os.unlink(sock.getsockname())


def _open_tcp(
    endpoint: Endpoint, backlog: int | None, opened: list[socket.socket]
) -> None:
    port = endpoint.port
    for family, host in resolve(endpoint):
        try:
            sock = _bind_tcp(family, host, port, backlog)
        except OSError as error:
            if not endpoint.host and error.errno in _MISSING_FAMILY:
                continue
            where = describe((endpoint.host or host, port))
            raise StartupError(f"cannot listen on {where}: {_reason(error)}") from error
        opened.append(sock)
        port = sock.getsockname()[1]


def resolve(endpoint: Endpoint) -> Iterable[tuple[int, str]]:
    """Return the address families and addresses of an endpoint's host.

    Raises StartupError if the host is unknown.
    """
    if not endpoint.host:
        return _ANY
    try:
        found = socket.getaddrinfo(
            endpoint.host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        text = f"cannot listen on {endpoint.host}: {error.args[-1]}"
        raise StartupError(text) from error
    return dict.fromkeys((family, str(address[0])) for family, *_, address in found)


def _bind_tcp(family: int, host: str, port: int, backlog: int | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        if backlog is not None:
            # Only this shows that another server listens there.
            sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def _open_unix(endpoint: Endpoint, backlog: int | None) -> socket.socket:
    path = endpoint.path
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        sock.bind(path)
        _protect(sock, endpoint)
        if backlog is not None:
            # Only now, so that no peer connects before the permissions are set.
            sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise StartupError(f"cannot listen on unix:{path}: {_reason(error)}") from error
    return sock


def _protect(sock: socket.socket, endpoint: Endpoint) -> None:
    """Give the file of a bound socket its group and permissions."""
    if endpoint.group is not None:
        try:
            os.chown(endpoint.path, -1, grp.getgrnam(endpoint.group).gr_gid)
        except (KeyError, OSError) as error:
            close_all([sock])
            reason = "no such group" if isinstance(error, KeyError) else error.strerror
            raise StartupError(
                f"unix:{endpoint.path} cannot be given to the group {endpoint.group!r}"
                f" ({reason}): name a group with --socket-group to which the user who"
                " starts the server belongs"
            ) from error
    if endpoint.mode is not None:
        os.chmod(endpoint.path, endpoint.mode)


def _remove_stale(path: str) -> None:
    """Remove the socket file that a dead server left behind."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise FileExistsError(errno.EEXIST, "a file of this name exists")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use; is another server running there?"
    if error.errno == errno.EACCES:
        return "permission denied; ports below 1024 need root"
    return error.strerror or str(error)
