"""Files of a server that starts as root and goes on as another user.

They are made by that user where he may, and by root elsewhere. Root gives a file away,
or replaces one, only in a place where the user can't have put something else before: a
link to a file of the system, say.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pwd import struct_passwd

# Links on the way to a file; Linux follows no more either.
_MOST_LINKS = 40


@contextmanager
def acting_as(user: struct_passwd | None) -> Iterator[None]:
    """Do something with the rights of a user, if this is root, and be root again.

    There must be no other threads.
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
    """Open or create a file that a user is to own, and return its descriptor."""
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
    """Make an open file a user's, unless it is none or has another name as well."""
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        os.fchown(descriptor, user.pw_uid, user.pw_gid)


def is_beyond(user: struct_passwd, path: str) -> bool:
    """Whether a user can't have changed what a path leads to."""
    with acting_as(user):
        writable = {folder for folder, _ in _steps(path) if may_write(folder)}
    return not any(
        _is_at_hand(user, folder, child, folder in writable)
        for folder, child in _steps(path)
    )


def may_write(path: str, mode: int = os.W_OK) -> bool:
    """Whether the user who acts may write to a file, or in a folder."""
    effective = os.access in os.supports_effective_ids
    return os.access(path, mode, effective_ids=effective)


def _is_at_hand(user: struct_passwd, folder: str, child: str, writable: bool) -> bool:
    status = os.stat(folder)
    if status.st_uid == user.pw_uid:
        return True
    if status.st_mode & stat.S_ISVTX and os.path.lexists(child):
        # There he may remove what is his, and nothing else.
        return os.lstat(child).st_uid == user.pw_uid
    return writable


def _steps(path: str) -> Iterator[tuple[str, str]]:
    """Yield each folder on the way to a file, with what is looked up in it."""
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
