"""Log and pid files of a server that starts as root and then changes its user.

The new user creates them if it has the permission, otherwise root does. Root changes
the owner of a file, or replaces a file, only where the user cannot have put another
file before, such as a link to a file of the system.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pwd import struct_passwd

# Links on the path to a file; Linux follows no more either.
_MOST_LINKS = 40


@contextmanager
def acting_as(user: struct_passwd | None) -> Iterator[None]:
    """A context with the rights of a user, if the process runs as root.

    There must be no other threads: the rights are those of the process.
    """
    if user is None or os.geteuid() != 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.initgroups(user.pw_name, user.pw_gid)
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def open_for(user: struct_passwd | None, path: str, flags: int, mode: int) -> int:
    """Open a file, or create it for a user, and return its descriptor.

    Raises OSError if neither the user nor this process can open it.
    """
    if user is None:
        return os.open(path, flags, mode)
    try:
        with acting_as(user):
            return os.open(path, flags, mode)
    except PermissionError:
        descriptor = os.open(path, flags, mode)
    if is_beyond(user, path):
        give(user, descriptor)
    return descriptor


def give(user: struct_passwd, descriptor: int) -> None:
    """Change the owner of an open file, if it is a regular one with a single name."""
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        os.fchown(descriptor, user.pw_uid, user.pw_gid)


def is_beyond(user: struct_passwd, path: str) -> bool:
    """Whether a user cannot have changed which file a path leads to."""
    with acting_as(user):
        writable = {folder for folder, _ in _steps(path) if may_write(folder)}
    return not any(
        _is_at_hand(user, folder, child, folder in writable)
        for folder, child in _steps(path)
    )


def may_write(path: str, mode: int = os.W_OK) -> bool:
    """Whether the effective user may write to a file, or in a folder."""
    effective = os.access in os.supports_effective_ids
    return os.access(path, mode, effective_ids=effective)


def _is_at_hand(user: struct_passwd, folder: str, child: str, writable: bool) -> bool:
    status = os.stat(folder)
    if status.st_uid == user.pw_uid:
        return True
    if status.st_mode & stat.S_ISVTX and os.path.lexists(child):
        # In such a folder, users may remove only their own files.
        return os.lstat(child).st_uid == user.pw_uid
    return writable


def _steps(path: str) -> Iterator[tuple[str, str]]:
    """Yield each folder on the path to a file, with the entry looked up in it."""
    at, names, links = "/", path.split("/")[::-1], 0
    while names and links <= _MOST_LINKS:
        name = names.pop()
        child = os.path.normpath(os.path.join(at, name))
        if name in ("", ".", ".."):
            at = child
            continue
        yield at, child
        if os.path.islink(child):
            target = os.readlink(child)
            names += target.split("/")[::-1]
            at = "/" if target.startswith("/") else at
            links += 1
        else:
            at = child
