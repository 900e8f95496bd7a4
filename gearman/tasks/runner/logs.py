"""The log of the runner and its processes: lines on standard error, or in a file.

A line of a process has the process in it, and what is logged while a job runs has the
job's handle and function.
"""

import copy
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pwd import struct_passwd
from typing import Final

from ...errors import StartupError
from ...server.settings.ownership import open_for
from ...server.watch.log_formats import FORMATS
from ..current import in_hand

log = logging.getLogger("gearman.tasks.runner")


_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_NONBLOCK


class LogFile:
    """A file that all processes append to.

    Each looks before it writes whether the file was moved away, by log rotation, and
    then opens the new one. If that cannot be opened, the old one stays in use.
    """

    def __init__(self, path: str, user: struct_passwd | None = None) -> None:
        """Open the file, for `user` if the process changes to that user later.

        Raises StartupError.
        """
        # The app may change its folder.
        self._path = os.path.abspath(path)
        try:
            self._use(open_for(user, self._path, _FLAGS, 0o644))
        except OSError as error:
            raise StartupError(
                f"log file {path!r} cannot be opened: {error.strerror}"
            ) from error

    def _use(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self._place = status.st_dev, status.st_ino

    def write(self, text: str) -> None:
        """Append a text. Raises OSError."""
        if self._is_moved():
            with suppress(OSError):
                before, new = self._descriptor, os.open(self._path, _FLAGS, 0o644)
                self._use(new)
                os.close(before)
        os.write(self._descriptor, text.encode(errors="backslashreplace"))

    def _is_moved(self) -> bool:
        try:
            status = os.stat(self._path)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self._place


class Lines(logging.Handler):
    """Writes each record as one line (a traceback has more), in one write.

    `process` is the number of the process, 0 for the runner itself. `write` writes a
    text that ends with a line end. Lines go to the `file` if there is one.
    """

    def __init__(
        self,
        form: str,
        process: int = 0,
        write: Callable[[str], object] | None = None,
        file: LogFile | None = None,
    ) -> None:
        super().__init__()
        self.file = file
        self._format = FORMATS[form]
        self._process = process
        self._write = file.write if file else write or _to_standard_error

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(f"{self._format(self._completed(record), 0)}\n")
        except (OSError, ValueError):
            # Nobody reads it, or the disk is full.
            pass
        except Exception:
            self.handleError(record)

    def _completed(self, given: logging.LogRecord) -> logging.LogRecord:
        """Return a record that says whose it is."""
        record = copy.copy(given)
        record.msg, record.args = given.getMessage(), None
        facts: dict[str, object] = {"logger": record.name, "pid": os.getpid()}
        words = []
        if self._process:
            facts["process"] = self._process
            words.append(f"[{self._process}]")
        handle = getattr(given, "handle", None)
        function = getattr(given, "function", None)
        job = in_hand()
        if handle is None and job is not None:
            handle, function = job.handle, job.function
            words.append(f"{handle} {function}:")
        if handle is not None:
            facts["handle"], facts["function"] = handle, function
        record.msg = " ".join([*words, record.msg])
        record.facts = facts
        return record


def _to_standard_error(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def configure(
    form: str,
    level: int,
    process: int = 0,
    write: Callable[[str], object] | None = None,
    file: LogFile | None = None,
) -> None:
    """Send all that is logged in this process to standard error, `write`, or a file.

    It replaces handlers that this function has set before, but their file stays in use,
    also in a process that was forked since. An app may configure its loggers as it
    likes.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, Lines):
            root.removeHandler(handler)
            file = file or handler.file
    root.addHandler(Lines(form, process, write, file))
    root.setLevel(level)
