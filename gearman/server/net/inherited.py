"""Listening sockets that systemd passes to the server: see sd_listen_fds(3).

The name of a socket (FileDescriptorName= of its unit) is that of the protocol that is
spoken on it. A protocol that has such sockets opens none of its own.
"""

import os
import socket
from collections.abc import Iterable, MutableMapping
from typing import Final, NamedTuple

from ...errors import StartupError
from ..connections.peers import describe
from ..protocols.registry import GEAR, NAMES
from ..settings.config import Config
from .sockets import InheritedSocket, open_groups

# The number of the first socket.
_FIRST: Final = 3
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
# What systemd calls sockets without a name; others have the name of their unit.
_UNNAMED: Final = ("", "unknown", "stored", "connection")
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


class Given(NamedTuple):
    """A descriptor that was passed to this process, and its name."""

    descriptor: int
    name: str


def take(environment: MutableMapping[str, str]) -> list[Given]:
    """Return what was passed to this process, and remove the variables that say so.

    Call this before the process forks. Raises StartupError for wrong values.
    """
    process, count, names, _ = (environment.pop(name, "") for name in _VARIABLES)
    if process != str(os.getpid()):
        # They are for another process, or there are none.
        return []
    if not count.isdecimal():
        raise StartupError(f"LISTEN_FDS must be a number of sockets, not {count!r}")
    given = names.split(":") if names else []
    missing = int(count) - len(given)
    if missing < 0:
        raise StartupError(
            f"LISTEN_FDNAMES has {len(given)} names, but LISTEN_FDS is {count}"
        )
    given += [""] * missing
    return [Given(number, name) for number, name in enumerate(given, _FIRST)]


def open_sockets(config: Config, given: Iterable[Given]) -> list[list[socket.socket]]:
    """Return the listening sockets of gear, and of the other protocols in their order.

    They are those that are given, or those that the settings say. In a cluster they are
    bound, but don't listen. Raises StartupError if a socket cannot be opened, or cannot
    be used.
    """
    inherited = adopt(config, given)
    groups = {GEAR: config.listen} | {
        each.name: each.listen for each in config.protocols
    }
    own = [() if name in inherited else listen for name, listen in groups.items()]
    opened = open_groups(own, None if config.cluster else config.backlog)
    return [
        inherited.get(name, group) for name, group in zip(groups, opened, strict=True)
    ]


def adopt(config: Config, given: Iterable[Given]) -> dict[str, list[socket.socket]]:
    """Return the sockets that are given, by protocol. Raises StartupError."""
    names = [GEAR, *(each.name for each in config.protocols)]
    found: dict[str, list[socket.socket]] = {}
    for descriptor, name in given:
        protocol = GEAR if _is_unnamed(name) else name
        _check_name(protocol, names)
        found.setdefault(protocol, []).append(_socket(descriptor, protocol))
    if found and config.cluster is not None:
        raise StartupError(
            "systemd passes sockets that listen, but a server of a cluster must refuse"
            " connections while another one owns the jobs: use no socket unit"
        )
    return found


def _is_unnamed(name: str) -> bool:
    return name in _UNNAMED or name.endswith(".socket")


def _check_name(name: str, names: list[str]) -> None:
    if name in names:
        return
    start = f"systemd passes a socket with the name {name!r}"
    if name in NAMES:
        raise StartupError(f"{start}: speak that protocol by -r {name}")
    raise StartupError(
        f"{start}, which is no protocol of this server: set FileDescriptorName= to"
        f" {' or '.join(names)}, or name the protocol by -r"
    )


def _socket(descriptor: int, protocol: str) -> socket.socket:
    """Return a socket that is given. Raises StartupError if it can't be used."""
    start = f"descriptor {descriptor}, which systemd passes,"
    try:
        sock = InheritedSocket(fileno=descriptor)
    except OSError as error:
        reason = error.strerror
        raise StartupError(f"{start} is no socket: {reason}") from error
    if sock.family not in _FAMILIES or sock.type != socket.SOCK_STREAM:
        sock.detach()
        raise StartupError(f"{start} is no stream socket: use ListenStream=")
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise StartupError(f"{start} does not listen: use Accept=no")
    if sock.family == socket.AF_UNIX and protocol != GEAR:
        where = describe(sock.getsockname())
        sock.detach()
        raise StartupError(
            f"{start} is {where}, but {protocol} is spoken on TCP addresses only"
        )
    sock.set_inheritable(False)
    return sock
