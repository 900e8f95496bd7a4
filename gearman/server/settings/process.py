"""Changes of the server's own process: background, user, limits, pid file."""

import fcntl
import os
import pwd
import resource
import select
import signal
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

from ...blocking.polling import Wakeup
from ...errors import StartupError
from ...streams import say
from .ownership import acting_as, give, is_beyond

# Descriptors that are kept for other uses than connections.
_RESERVED: Final = 64

_DIED: Final = "the server ended before it was ready; its log may say why"


def daemonize() -> Callable[[str], None]:
    """Continue in a child process without a terminal; only the child returns.

    Returns a function that the child calls once: with an empty text when it is ready,
    or with a sentence if it cannot start. The parent waits for that. It exits with
    status 0, or prints the sentence and exits with status 1. The standard streams must
    be open. No thread, event loop or log may exist yet, since they do not survive.
    Raises StartupError, in the parent, if there can be no child.
    """
    reader, writer = os.pipe()
    # Blocked until the parent knows the child, so that Ctrl-C can end both.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        child = os.fork()
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise StartupError(f"cannot run in the background: {error.strerror}") from error
    if child:
        os.close(writer)
        _await(child, reader, mask)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.close(reader)
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)

    def report(failure: str = "") -> None:
        # The parent may be gone; the server runs all the same.
        with suppress(OSError):
            os.write(writer, os.fsencode(failure) or b"\0")
        os.close(writer)

    return report


def _await(child: int, reader: int, mask: set[int | signal.Signals]) -> NoReturn:
    """Exit as the child says, with the signal mask restored to `mask`."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        said = _said(reader)
    except KeyboardInterrupt:
        os.kill(child, signal.SIGTERM)
        said = b"interrupted"
    if said == b"\0":
        os._exit(0)
    say(f"gearmand: {os.fsdecode(said) or _DIED}\n", sys.stderr)
    os._exit(1)


def _said(reader: int) -> bytes:
    """Return the child's message, unless a signal handler raises before."""
    wakeup = Wakeup()
    with wakeup.by_signals(), open(reader, "rb") as pipe:
        # A signal that arrives just before a blocking read would not end that.
        both: list[Any] = [pipe, wakeup]
        while pipe not in select.select(both, [], [])[0]:
            wakeup.clear()
        return pipe.read()


class PidFile:
    """A file with the process id, locked as long as the process lives.

    The lock says whether the file is in use or was left behind by a crash. The number
    in the file does not, since it may belong to another process by now.
    """

    def __init__(self, path: str, user: pwd.struct_passwd | None = None) -> None:
        """Set the path. `user` is the user that this process changes to later."""
        self._named = path
        self._path = os.path.realpath(path)
        self._user = user
        self._descriptor = -1

    def write(self) -> None:
        """Write the file atomically, replacing one that a dead server left behind.

        Raises StartupError if the file belongs to a running server, or can't be
        written.
        """
        try:
            try:
                with acting_as(self._user):
                    self._write()
            except PermissionError:
                if self._user is None or not is_beyond(self._user, self._named):
                    raise
                self._write()
                give(self._user, self._descriptor)
        except OSError as error:
            raise StartupError(
                f"pid file {self._path!r} cannot be written: {error.strerror}"
            ) from error

    def _write(self) -> None:
        temporary = f"{self._path}.{os.getpid()}"
        try:
            self._check()
            self._descriptor = _create(temporary, f"{os.getpid()}\n")
            os.replace(temporary, self._path)
        except OSError:
            self._give_up(temporary)
            raise

    def _check(self) -> None:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(self._path).st_mode):
                raise StartupError(
                    f"pid file {self._path!r} cannot be written: it is no regular file"
                )
            with open(self._path, "rb") as file:
                if not _lock(file.fileno()):
                    pid = file.read(20).decode("ascii", "replace").strip()
                    raise StartupError(
                        f"pid file {self._path!r} is in use: a server is running as"
                        f" process {pid}; stop it, or choose another --pid-file"
                    )

    def _give_up(self, temporary: str) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            with suppress(OSError):
                os.unlink(temporary)

    def remove(self) -> None:
        """Remove the file, unless another process has replaced it.

        If the user may not remove it, it is emptied, so that no signal is sent to
        another process that gets the same id later.
        """
        if self._descriptor < 0:
            return
        with suppress(OSError):
            if self._is_ours():
                self._remove()
        os.close(self._descriptor)
        self._descriptor = -1

    def _remove(self) -> None:
        try:
            os.unlink(self._path)
        except PermissionError:
            os.ftruncate(self._descriptor, 0)

    def _is_ours(self) -> bool:
        with open(self._path, "rb") as file:
            same = os.path.sameopenfile(file.fileno(), self._descriptor)
            return same and file.read(20).split() == [b"%d" % os.getpid()]


def _create(path: str, text: str) -> int:
    """Write a new file and return its locked descriptor."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    descriptor = os.open(path, flags, 0o644)
    try:
        _lock(descriptor)
        os.write(descriptor, text.encode())
    except OSError:
        os.close(descriptor)
        os.unlink(path)
        raise
    return descriptor


def _lock(descriptor: int) -> bool:
    """Lock an open file; return False if another process has locked it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: every file counts as left by a dead server.
        pass
    return True


def find_user(name: str) -> pwd.struct_passwd:
    """Return a user's entry. Raises StartupError if there is no such user."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise StartupError(
            f"there is no user {name!r}: choose another with --user"
        ) from None


def switch_user(name: str) -> None:
    """Change to the user `name` permanently, with its groups. Raises StartupError."""
    user = find_user(name)
    if os.geteuid() == user.pw_uid == os.getuid():
        return
    try:
        os.setgid(user.pw_gid)
        os.initgroups(name, user.pw_gid)
        os.setuid(user.pw_uid)
    except OSError as error:
        raise StartupError(
            f"cannot become the user {name!r} ({error.strerror}): start as root, or"
            " leave out --user"
        ) from error


def limit_descriptors(number: int | None) -> None:
    """Set the limit of open descriptors; None sets the highest possible one.

    Raises StartupError if this user may not have so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if number is None:
        # macOS reports a hard limit that it refuses.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return
    enough = hard == resource.RLIM_INFINITY or number <= hard
    try:
        limits = (number, hard if enough else number)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    except (ValueError, OSError) as error:
        raise StartupError(
            f"{number} file descriptors are more than the {hard} allowed here: run as"
            " root, or give a smaller number to --file-descriptors"
        ) from error


def connections_allowed() -> int:
    """Return how many connections are possible, 0 for any number.

    Some descriptors are kept for listening sockets, the log, and the files or
    connections of a queue.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return 0
    return allowed - min(_RESERVED, allowed // 2)


def enable_core_dumps() -> None:
    """Allow core dumps of the largest permitted size.

    Call this after `switch_user`, which disables them. Raises StartupError if they are
    not permitted at all.
    """
    infinity = resource.RLIM_INFINITY
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (infinity, infinity))
    except (ValueError, OSError):
        if not hard:
            raise StartupError(
                "core dumps are forbidden here: raise `ulimit -Hc`, or leave out"
                " --coredump"
            ) from None
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    if sys.platform == "linux":
        _make_dumpable()


def _make_dumpable() -> None:
    # Some builds of Python lack ctypes.
    with suppress(ImportError, OSError):
        import ctypes

        set_dumpable = 4
        ctypes.CDLL(None).prctl(set_dumpable, 1, 0, 0, 0)
