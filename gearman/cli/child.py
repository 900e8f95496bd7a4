"""Running a command with bytes as its input, and taking its output as it comes.

Both pipes are served whenever they are ready: a child that writes before it has read
everything, as `cat` does, would otherwise wait for its reader while its reader waits
for it.
"""

import os
import selectors
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Final

from ..errors import GearmanError

_READ: Final = 1 << 16
# No more than a pipe holds: writing more would block even though it is writable.
_WRITE: Final = 1 << 16
# Seconds in which a command may tidy up before it is killed.
_GRACE: Final = 2.0


class CommandNotStarted(GearmanError):
    """The command cannot be run: it is not there, or no program."""


def run(
    command: Sequence[bytes],
    workload: bytes,
    environment: Mapping[bytes, bytes],
    take: Callable[[bytes], None],
) -> int:
    """Run a command and return its status, that of a killed one being negative.

    `take` is called with each piece of its standard output. A command that does not
    read all of its input is none the worse for it. If `take` raises, or a signal
    handler does, the command is ended. Raises CommandNotStarted.
    """
    with _start(command, environment) as child:
        assert child.stdin
        assert child.stdout
        try:
            _exchange(child.stdin, child.stdout, memoryview(workload), take)
            return child.wait()
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
    stdin: IO[bytes],
    stdout: IO[bytes],
    rest: memoryview,
    take: Callable[[bytes], None],
) -> None:
    """Feed one pipe and empty the other until that one is closed."""
    os.set_blocking(stdin.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(stdin, selectors.EVENT_WRITE)
        selector.register(stdout, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if stdin in ready:
                rest = _feed(stdin, rest)
                if not rest:
                    selector.unregister(stdin)
                    stdin.close()
            if stdout in ready:
                data = os.read(stdout.fileno(), _READ)
                if not data:
                    return
                take(data)


def _feed(stdin: IO[bytes], rest: memoryview) -> memoryview:
    """Write what the pipe takes and return what is left; nothing if nobody reads."""
    with suppress(BlockingIOError):
        try:
            return rest[os.write(stdin.fileno(), rest[:_WRITE]) :]
        except BrokenPipeError:
            return rest[:0]
    return rest
