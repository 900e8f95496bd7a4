"""`--check-args`: the problems that would keep a server from starting.

Only problems are found that show without opening a port. Nothing is opened for writing,
created or changed, so that a server may be running with the same settings.
"""

import grp
import os
from collections.abc import Callable, Iterator, MutableMapping
from functools import partial
from pwd import struct_passwd
from typing import Final

from ..errors import ConfigurationError, StartupError
from ..queue import load
from .imports import import_all
from .net.inherited import adopt, take
from .net.sockets import resolve
from .protocols.registry import GEAR
from .settings import process
from .settings.certificates import open_certificates
from .settings.cluster import read_secret
from .settings.config import Config
from .settings.ownership import acting_as, is_beyond, may_write
from .settings.settings_file import open_settings

_ROOT: Final = 0


def problems(config: Config, environment: MutableMapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each problem.

    `environment` is that of the process, and may say that it has inherited sockets.
    """
    user, *unknown = _user(config)
    yield from unknown
    yield from _raised(partial(process.limit_descriptors, config.descriptors))
    dials = config.cluster is not None
    yield from _raised(partial(open_certificates, config.tls, dials))
    yield from _raised(partial(read_secret, config.cluster_secret_file))
    yield from _raised(partial(open_settings, config.settings))
    yield from _queue(config, user)
    inherited, *unusable = _inherited(config, environment)
    yield from unusable
    if not inherited:
        yield from _sockets(config)
    if config.log_file not in ("stderr", "none"):
        yield from _file(config.log_file, "log file", "--log-file", user)
    if config.pid_file:
        yield from _file(config.pid_file, "pid file", "--pid-file", user)


def _raised(action: Callable[[], object]) -> Iterator[str]:
    try:
        action()
    except (ConfigurationError, StartupError) as error:
        yield str(error)


def _user(config: Config) -> tuple[struct_passwd | None, *tuple[str, ...]]:
    """Return the user of --user, and a sentence if the server can't change to it."""
    if config.user is None:
        return (None,)
    try:
        user = process.find_user(config.user)
    except StartupError as error:
        return None, str(error)
    if os.geteuid() not in (_ROOT, user.pw_uid):
        return user, (
            f"only root can become the user {config.user!r}: start as root, or leave"
            " out --user"
        )
    return (user,)


def _queue(config: Config, user: struct_passwd | None) -> Iterator[str]:
    missing = list(_raised(partial(import_all, config)))
    yield from missing
    if config.queue != "builtin" and not missing:
        with acting_as(user):
            check = partial(load(config.queue).check, config.queue_options)
            yield from list(_raised(check))


def _inherited(
    config: Config, environment: MutableMapping[str, str]
) -> tuple[bool, *tuple[str, ...]]:
    """Return whether systemd passes sockets for gear, and what is wrong with them."""
    try:
        return (GEAR in adopt(config, take(environment)),)
    except StartupError as error:
        return True, str(error)


def _sockets(config: Config) -> Iterator[str]:
    """Check the hosts, and the folders and the group of Unix sockets."""
    for endpoint in config.listen:
        if not endpoint.path:
            yield from _raised(partial(resolve, endpoint))
        folder = os.path.dirname(endpoint.path)
        if endpoint.path and not os.path.isdir(folder):
            yield f"-L unix:{endpoint.path}: there is no folder {folder}: make it first"
        elif endpoint.path and not may_write(folder):
            yield f"-L unix:{endpoint.path}: this user may not write in {folder}"
    for group in {endpoint.group for endpoint in config.listen} - {None}:
        try:
            grp.getgrnam(str(group))
        except KeyError:
            yield f"there is no group {group!r}: name another one with --socket-group"


def _file(
    path: str, what: str, option: str, user: struct_passwd | None
) -> Iterator[str]:
    """Check whether a file can be created, and can be given to its user."""
    folder = os.path.dirname(path)
    start = f"{what} {path!r} cannot be written: "
    if not os.path.isdir(folder):
        yield f"{start}there is no folder {folder}: make it, or change {option}"
    elif os.path.isdir(path):
        yield f"{start}it is a folder: change {option}"
    elif not _can_write(path, user) and not (
        os.geteuid() == _ROOT and (user is None or is_beyond(user, path))
    ):
        name = "this user" if user is None else f"the user {user.pw_name!r}"
        yield f"{start}{name} may not do that: chown it, or change {option}"


def _can_write(path: str, user: struct_passwd | None) -> bool:
    with acting_as(user):
        return may_write(path if os.path.exists(path) else os.path.dirname(path))
