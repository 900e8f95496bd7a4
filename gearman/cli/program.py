"""How a tool ends: its exit status, and what it says about trouble."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from io import RawIOBase
from typing import Final, NoReturn, TextIO

from ..errors import GearmanError, ProtocolError, UnknownCommandError
from ..server.settings.command_line import say
from ..server.settings.process import open_standard_streams

FAILURE: Final = 1
# As shells report a process that a signal ended.
INTERRUPTED: Final = 128 + signal.SIGINT
CLOSED: Final = 128 + signal.SIGPIPE
TERMINATED: Final = 128 + signal.SIGTERM


def run(name: str, body: Callable[[], int]) -> int:
    """Call `body` and return the exit status of the tool called `name`.

    An error becomes one sentence on standard error and status 1, Ctrl-C status 130,
    and a reader that has left, as in `| head -1`, status 141 without a word.
    """
    open_standard_streams()
    sys.stdout = _buffered(sys.stdout)
    sys.stderr = _buffered(sys.stderr)
    # A tool says in its own words what the library logs.
    logging.getLogger("gearman").addHandler(logging.NullHandler())
    signal.signal(signal.SIGTERM, _terminate)
    # Nobody learns how a child ended while this is ignored, as it may be by a parent.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        return body()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return CLOSED
    except (ProtocolError, UnknownCommandError) as error:
        complain(name, f"what is there does not speak Gearman's protocol: {error}")
    except GearmanError as error:
        complain(name, str(error))
    except OSError as error:
        discard_output()
        complain(name, error.strerror or str(error))
    return FAILURE


def complain(name: str, sentence: str) -> None:
    """Say a sentence on standard error."""
    say(f"{name}: {sentence}\n", sys.stderr)


def _buffered(stream: TextIO) -> TextIO:
    """Return a stream that writes all that it is given, even with PYTHONUNBUFFERED.

    Without a buffer a write is cut short, and nobody told, where a disk is full or a
    reader leaves in the middle of it.
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
    # Unlike the default action it lets pid files and children be tidied up.
    raise SystemExit(TERMINATED)


def discard_output() -> None:
    """Let standard output go nowhere, with what is left in its buffer.

    The interpreter would complain about that otherwise.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
