"""Files of exported jobs: reading them, and writing them atomically."""

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import BinaryIO, Final

from ...errors import ConfigurationError
from ...queue import StoredJob
from .job_lines import decode

# Bytes of the longest line. JSON takes up to six for one byte of a workload.
_LONGEST: Final = 1 << 30


@contextmanager
def source(path: str | None) -> Iterator[BinaryIO]:
    """Open a file to read from; None and - are standard input.

    Raises ConfigurationError.
    """
    if path is None or path == "-":
        yield sys.stdin.buffer
        return
    with _opened(path) as file:
        yield file


def _opened(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def size(file: BinaryIO) -> int | None:
    """Return the size of a regular file in bytes; None for other files."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def read(file: BinaryIO) -> Iterator[StoredJob]:
    """Yield the jobs of a file. Raises ConfigurationError for an invalid line."""
    for number in count(1):
        line = file.readline(_LONGEST)
        if not line:
            return
        if line.strip():
            yield _job(line, number)


def _job(line: bytes, number: int) -> StoredJob:
    try:
        return decode(line)
    except ValueError as error:
        raise ConfigurationError(
            f"line {number} of the file is not a job: {error}; correct or remove it,"
            " and import the file again: jobs that are already there stay as they are"
        ) from None


@contextmanager
def replaced(path: str) -> Iterator[BinaryIO]:
    """A context with a new file, which replaces `path` once it is complete and durable.

    Only its owner can read it. If `path` exists and is not a regular file, such as a
    pipe, it is written to directly. Raises ConfigurationError.
    """
    # A link is kept, and its target is replaced.
    path = os.path.realpath(path)
    make = _written if os.path.exists(path) and not os.path.isfile(path) else _new
    try:
        with make(path) as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror or error}"
        ) from error


@contextmanager
def _written(path: str) -> Iterator[BinaryIO]:
    with open(path, "wb") as file:
        yield file


@contextmanager
def _new(path: str) -> Iterator[BinaryIO]:
    folder, name = os.path.split(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f"{name}.", dir=folder)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
