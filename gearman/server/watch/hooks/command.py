"""A hook that gives events to a program."""

import os
import select
import subprocess
from contextlib import suppress
from threading import Event
from typing import Final

from .courier import TargetError

# Seconds between two looks whether to stop, while the program does not read.
_LOOK: Final = 0.2

# Seconds that the program has to end after the end of its input, and after TERM.
PATIENCE: Final = 2.0


class Command:
    """Writes events, a line each, to the standard input of a program.

    The program is started for the first event, and again after it has ended. Its output
    is dropped, its errors go where the server's go. It gets no signals of the server's
    terminal.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None

    def deliver(self, lines: list[bytes], stop: Event) -> None:
        """Write lines. Raises TargetError if the program cannot be started, or ends."""
        process = self._running()
        assert process.stdin is not None  # noqa: S101
        data, descriptor = memoryview(b"".join(lines)), process.stdin.fileno()
        while data:
            if stop.is_set():
                raise TargetError("the program does not read")
            _, writable, _ = select.select([], [descriptor], [], _LOOK)
            try:
                if writable:
                    data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                continue
            except OSError as error:
                self.close()
                raise TargetError(f"the program has ended ({error.strerror})") from None

    def close(self) -> None:
        """End the program: it gets the end of its input, then TERM, then KILL."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None  # noqa: S101
        with suppress(OSError):
            process.stdin.close()
        for end in (process.terminate, process.kill):
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
                return
            end()
        process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is not None and process.poll() is None:
            return process
        self.close()
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise TargetError(
                f"{self._words[0]} cannot be started: {error.strerror}"
            ) from error
        assert process.stdin is not None  # noqa: S101
        os.set_blocking(process.stdin.fileno(), False)
        self._process = process
        return process
