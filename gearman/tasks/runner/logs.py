"""The log of the runner and its processes: lines on standard error.

A line of a process has the process in it, and what is logged while a job runs has the
job's handle and function.
"""

import copy
import logging
import os
import sys
from collections.abc import Callable

from ...server.watch.log_formats import FORMATS
from ..current import in_hand

log = logging.getLogger("gearman.tasks.runner")


class Lines(logging.Handler):
    """Writes each record as one line (a traceback has more), in one write.

    `process` is the number of the process, 0 for the runner itself. `write` writes a
    text that ends with a line end.
    """

    def __init__(
        self, form: str, process: int = 0, write: Callable[[str], object] | None = None
    ) -> None:
        super().__init__()
        self._format = FORMATS[form]
        self._process = process
        self._write = write or _to_standard_error

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
) -> None:
    """Send all that is logged in this process to standard error, or to `write`.

    It replaces handlers that this function has set before. An app may configure its
    loggers as it likes.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, Lines):
            root.removeHandler(handler)
    root.addHandler(Lines(form, process, write))
    root.setLevel(level)
