"""The log of the server: where it is written.

A problem with the log must neither stop the server nor delay it. Records that cannot be
written are counted, and the next line that can be written tells how many are missing.
Before each piece is written, the descriptor is asked whether it accepts data. A pipe or
terminal that is shared with other processes may be full again by then. So it is opened
again, where the system allows that, to make it non-blocking for this server only. Files
on a disk are simply written to: they may be slow or full, but they do not wait for a
reader. syslog(3) may block if its daemon hangs.

One record is one line; only a traceback has more lines, which are indented. Characters
that are not printable are escaped, so that no peer can forge a line.
"""

import errno
import logging
import os
import select
import stat
import syslog
from collections.abc import Sequence
from contextlib import suppress
from pwd import struct_passwd
from typing import TYPE_CHECKING, Final

from ...errors import StartupError
from ..settings.levels import ALERT, FATAL, NOTICE, level_name
from ..settings.ownership import open_for
from .log_formats import FORMATS, MAX_RECORD, Format, as_json, text_lines

if TYPE_CHECKING:
    from ..settings.config import Config

__all__ = ["ALERT", "FATAL", "MAX_RECORD", "NOTICE", "Log", "configure", "level_name"]

NAME: Final = "gearman.server"

# Warnings and errors of asyncio go to this log as well.
_LOGGERS = {
    NAME: logging.DEBUG,
    "asyncio": logging.WARNING,
    "opentelemetry": logging.WARNING,
}

# A pipe that is ready accepts so many bytes without blocking.
_PIECE = select.PIPE_BUF

_PRIORITIES = {
    # LOG_EMERG would be shown on every terminal of the machine.
    "FATAL": syslog.LOG_ALERT,
    "ALERT": syslog.LOG_ALERT,
    "CRITICAL": syslog.LOG_CRIT,
    "ERROR": syslog.LOG_ERR,
    "WARNING": syslog.LOG_WARNING,
    "NOTICE": syslog.LOG_NOTICE,
    "INFO": syslog.LOG_INFO,
    "DEBUG": syslog.LOG_DEBUG,
}


class Log:
    """The log in use. `reopen` is for log rotation, `close` for the end."""

    def __init__(self, handlers: Sequence[logging.Handler], level: int) -> None:
        # A logger without handlers would print to standard error.
        self._handlers = handlers or [logging.NullHandler()]
        for name, lowest in _LOGGERS.items():
            logger = logging.getLogger(name)
            logger.setLevel(max(level, lowest))
            logger.propagate = False
            for handler in self._handlers:
                logger.addHandler(handler)

    def reopen(self) -> None:
        """Open the log file again by its name, after log rotation.

        If it can't be opened, an error is logged to the old one, which stays in use.
        """
        for handler in self._handlers:
            if isinstance(handler, _File):
                try:
                    handler.reopen()
                except OSError as error:
                    logging.getLogger(NAME).error(
                        "log file %s cannot be opened again, the old one is kept: %s",
                        handler.path,
                        error.strerror,
                    )

    def close(self) -> None:
        """Detach from the loggers and close what was opened."""
        for handler in self._handlers:
            for name in _LOGGERS:
                logging.getLogger(name).removeHandler(handler)
            handler.close()


def configure(config: "Config", user: struct_passwd | None = None) -> Log:
    """Send the records of the logger "gearman.server" where `config` says.

    A new log file will belong to `user`, if the process changes to that user later.
    A daemon must already run in the background. Raises StartupError if the log file
    can't be opened.
    """
    handlers: list[logging.Handler] = []
    form = FORMATS[config.log_format]
    if config.log_file == "stderr":
        handlers += _standard_error(form)
    elif config.log_file != "none":
        handlers.append(_open(config.log_file, user, form))
    if config.syslog:
        handlers.append(_Syslog(config.log_format))
    return Log(handlers, config.level)


def _standard_error(form: Format) -> list[logging.Handler]:
    try:
        return [_Descriptor(_unshared(2), form)]
    except OSError:
        return []


def _open(path: str, user: struct_passwd | None, form: Format) -> logging.Handler:
    try:
        return _File(path, user, form)
    except OSError as error:
        reason = error.strerror
        if error.errno == errno.ENXIO:
            reason = "no process reads this pipe"
        raise StartupError(
            f"log file {path!r} cannot be opened ({reason}): choose another one with"
            " --log-file, or none"
        ) from error


def _unshared(descriptor: int) -> int:
    """Return a new descriptor of the same file; pipes and terminals non-blocking."""
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode) or os.isatty(descriptor):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
        with suppress(OSError):
            return os.open(f"/dev/fd/{descriptor}", flags)
    return os.dup(descriptor)


class _Descriptor(logging.Handler):
    """Writes to a descriptor, and closes it at the end."""

    def __init__(self, descriptor: int, form: Format) -> None:
        super().__init__()
        self._format = form
        self._lost = 0
        self._torn = False
        self._use(descriptor)

    def _use(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            self._write(self._format(record, self._lost))

    def _write(self, text: str) -> None:
        data = text.encode() + b"\n"
        if self._torn:
            data = b"\n" + data
        written = self._put(data)
        if written == len(data):
            self._lost, self._torn = 0, False
        else:
            self._lost += 1
            self._torn = self._torn or written > 0

    def _put(self, data: bytes) -> int:
        """Write as much as possible without blocking; return how many bytes."""
        position = 0
        with suppress(OSError):
            while position < len(data) and self._poll.poll(0):
                piece = data[position : position + _PIECE]
                position += os.write(self.descriptor, piece)
        return position

    def close(self) -> None:
        # Only once: later the number may belong to another file.
        descriptor, self.descriptor = self.descriptor, -1
        with suppress(OSError):
            os.close(descriptor)
        super().close()


class _File(_Descriptor):
    """Appends to a file that log rotation may move away."""

    def __init__(self, path: str, user: struct_passwd | None, form: Format) -> None:
        self.path = path
        super().__init__(self._open(user), form)

    def _open(self, user: struct_passwd | None = None) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_NONBLOCK
        return open_for(user, self.path, flags, 0o644)

    def reopen(self) -> None:
        """Open the file that has this path now. Raises OSError."""
        new = self._open()
        self.acquire()
        old = self.descriptor
        self._use(new)
        self.release()
        os.close(old)


class _Syslog(logging.Handler):
    def __init__(self, form: str) -> None:
        super().__init__()
        self._json = form == "json"
        syslog.openlog("gearmand", syslog.LOG_PID, syslog.LOG_DAEMON)

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            priority = _PRIORITIES[level_name(record.levelno)]
            lines = [as_json(record, 0)] if self._json else text_lines(record)
            for line in lines:
                syslog.syslog(priority, line if self._json else line[:MAX_RECORD])
