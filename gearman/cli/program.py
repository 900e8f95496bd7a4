"""The end of a tool: its exit status, and its error messages."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from io import RawIOBase
from typing import Final, NoReturn, TextIO

from ..errors import GearmanError, ProtocolError, UnknownCommandError
from ..streams import open_standard_streams, say

FAILURE: Final = 1
# As shells report a process that a signal ended.
INTERRUPTED: Final = 128 + signal.SIGINT
CLOSED: Final = 128 + signal.SIGPIPE
TERMINATED: Final = 128 + signal.SIGTERM


def run(name: str, body: Callable[[], int]) -> int:
    """Call `body` and return the exit status of the tool called `name`.

    An error is one sentence on standard error and status 1. Ctrl-C is status 130. If
    the reader of the output has ended, as in `| head -1`, it is status 141 without a
    message.
    """
    open_standard_streams()
    sys.stdout = _buffered(sys.stdout)
    sys.stderr = _buffered(sys.stderr)
    # The tools print their own messages instead of the library's log.
    logging.getLogger("gearman").addHandler(logging.NullHandler())
    signal.signal(signal.SIGTERM, _terminate)
    # If this signal is ignored, as the parent may have arranged, the status of a child
    # cannot be read.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        return body()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return CLOSED
    except (ProtocolError, UnknownCommandError) as error:
        complain(name, f"the server does not speak Gearman's protocol: {error}")
    except GearmanError as error:
        complain(name, str(error))
    except OSError as error:
        discard_output()
        complain(name, error.strerror or str(error))
    return FAILURE


def complain(name: str, sentence: str) -> None:
    """Write a sentence to standard error, after the tool's name."""
    say(f"{name}: {sentence}\n", sys.stderr)


def _buffered(stream: TextIO) -> TextIO:
    """Return a stream with a buffer, even with PYTHONUNBUFFERED.

    Without a buffer, a write may write only a part and raise nothing, when the disk is
    full or the reader ends.
    """
    if not isinstance(stream.buffer, RawIOBase):
        return stream
    return os.fdopen(
        stream.fileno(),
        "w",
        encoding=stream.encoding,
        errors=stream.errors,
        closefd=False,
    )


def _terminate(number: int, frame: object) -> NoReturn:
    # Unlike the default action, it runs the code that removes pid files and children.
    raise SystemExit(TERMINATED)


def discard_output() -> None:
    """Redirect standard output to /dev/null, with the rest of its buffer.

    Otherwise the interpreter would print an error at its end.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
