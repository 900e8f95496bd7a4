"""Running a command with bytes as its input, and reading its output as it arrives.

Both pipes are served whenever they are ready. Otherwise a command that writes before it
has read all input, as `cat` does, would wait for this process while this process waits
for it. The pipes end independently: a command may close its output and go on reading,
or stop reading and go on writing. Processes that the command leaves running may keep
both pipes open without end, so they have a limited time after the command's end.
"""

import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import IO, Final, NamedTuple

from ...errors import GearmanError

_READ: Final = 1 << 16
# Not more than a pipe can hold: a larger write would block, although it is writable.
_WRITE: Final = 1 << 16
# Seconds between SIGTERM and SIGKILL.
_GRACE: Final = 2.0
# Seconds that processes which the command has left running may use its pipes. It is
# long enough for a filter to finish, as in `exec > >(gzip)`, and it limits a daemon
# that was started.
_LEFT_BEHIND: Final = 60.0
# Seconds between two checks whether a silent command has ended, since its pipes may
# stay open.
_LOOK: Final = 1.0


class CommandNotStarted(GearmanError):
    """The command cannot be run: it does not exist, or is not a program."""


class Ended(NamedTuple):
    """How a command ended: its exit status, or the negated number of a signal.

    `cut` says that output may be missing, since processes that the command has left
    running still had its pipes open when their time was over.
    """

    status: int
    cut: bool


def run(
    command: Sequence[bytes],
    workload: bytes,
    environment: Mapping[bytes, bytes],
    take: Callable[[bytes], None],
    left_behind: float = _LEFT_BEHIND,
) -> Ended:
    """Run a command to its end.

    `workload` is its standard input, which it need not read, and `environment` is added
    to that of this process. `take` is called with each piece of its standard output.
    Processes that it leaves running with its pipes open are waited for, for
    `left_behind` seconds. If `take` or a signal handler raises, the command is ended.
    Raises CommandNotStarted.
    """
    with _start(command, environment) as child:
        try:
            cut = _exchange(child, memoryview(workload), take, left_behind)
            return Ended(_status(child), cut)
        except BaseException:
            _end(child)
            raise


def _status(child: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a child.

    A signal that arrives just before a system call is handled after it. So none of them
    lasts long.
    """
    while True:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(_LOOK)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child by SIGTERM, and by SIGKILL after _GRACE seconds."""
    child.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE)
    finally:
        child.kill()


def _start(
    command: Sequence[bytes], environment: Mapping[bytes, bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environb, **environment},
        )
    except (OSError, ValueError) as error:
        name = os.fsdecode(command[0])
        why = getattr(error, "strerror", None) or str(error)
        raise CommandNotStarted(f"cannot run {name!r}: {why}") from error


def _exchange(
    child: subprocess.Popen[bytes],
    rest: memoryview,
    take: Callable[[bytes], None],
    left_behind: float,
) -> bool:
    """Write to one pipe and read from the other; return True if the time is over."""
    stdin, stdout = child.stdin, child.stdout
    assert stdin
    assert stdout
    os.set_blocking(stdin.fileno(), False)
    deadline = inf
    with selectors.DefaultSelector() as selector:
        selector.register(stdin, selectors.EVENT_WRITE)
        selector.register(stdout, selectors.EVENT_READ)
        while selector.get_map():
            if deadline == inf and child.poll() is not None:
                deadline = time.monotonic() + left_behind
            elif deadline < time.monotonic():
                return True
            ready = {key.fileobj for key, _ in selector.select(_LOOK)}
            if stdin in ready:
                rest = _feed(stdin, rest)
                if not rest:
                    _leave(selector, stdin)
            if stdout in ready and not _empty(stdout, take):
                _leave(selector, stdout)
    return False


def _leave(selector: selectors.BaseSelector, pipe: IO[bytes]) -> None:
    selector.unregister(pipe)
    pipe.close()


def _empty(stdout: IO[bytes], take: Callable[[bytes], None]) -> bool:
    """Read from the pipe; return False at its end."""
    data = os.read(stdout.fileno(), _READ)
    if data:
        take(data)
    return bool(data)


def _feed(stdin: IO[bytes], rest: memoryview) -> memoryview:
    """Write as much as the pipe accepts, and return the rest; b"" if it is closed."""
    with suppress(BlockingIOError):
        try:
            return rest[os.write(stdin.fileno(), rest[:_WRITE]) :]
        except BrokenPipeError:
            return rest[:0]
    return rest
