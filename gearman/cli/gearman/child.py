"""Running a command with bytes as its input, and taking its output as it comes.

Both pipes are served whenever they are ready: a child that writes before it has read
everything, as `cat` does, would otherwise wait for its reader while its reader waits
for it. Each pipe has an end of its own: a child may close its output and go on
reading, or stop reading and go on writing. What a child leaves behind may hold both
open for ever, so it has a limited time from the child's end.
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
# No more than a pipe holds: writing more would block even though it is writable.
_WRITE: Final = 1 << 16
# Seconds in which a command may tidy up before it is killed.
_GRACE: Final = 2.0
# Seconds that what a command leaves behind may go on with its pipes: long enough for
# a filter to finish, as in `exec > >(gzip)`, and an end for a daemon that was started.
_LEFT_BEHIND: Final = 60.0
# Seconds after which a silent command is looked at, since its end need not be seen in
# its pipes.
_LOOK: Final = 1.0


class CommandNotStarted(GearmanError):
    """The command cannot be run: it is not there, or no program."""


class Ended(NamedTuple):
    """How a command ended: its status, that of a killed one being negative.

    It is `cut` if what it left behind still held its pipes, so that output may be
    missing.
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

    `take` is called with each piece of its standard output. A command that does not
    read all of its input is none the worse for it. Processes that it leaves behind
    with its pipes are waited for, for so many seconds. If `take` raises, or a signal
    handler does, the command is ended. Raises CommandNotStarted.
    """
    with _start(command, environment) as child:
        try:
            cut = _exchange(child, memoryview(workload), take, left_behind)
            return Ended(child.wait(), cut)
        except BaseException:
            _end(child)
            raise


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask a child to end, and insist when it doesn't or when there is no time."""
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
    """Feed one pipe and empty the other until both end; tell if they did not."""
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
    """Take what the pipe has; tell whether more may come."""
    data = os.read(stdout.fileno(), _READ)
    if data:
        take(data)
    return bool(data)


def _feed(stdin: IO[bytes], rest: memoryview) -> memoryview:
    """Write what the pipe takes and return what is left; nothing if nobody reads."""
    with suppress(BlockingIOError):
        try:
            return rest[os.write(stdin.fileno(), rest[:_WRITE]) :]
        except BrokenPipeError:
            return rest[:0]
    return rest
