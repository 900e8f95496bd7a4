"""Files of exported jobs: reading them, and writing them whole or not at all."""

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

# Bytes of the longest line that is read. JSON takes up to six for one of a workload.
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
    """Return how many bytes a file has; None if it is none with a size."""
    status = os.fstat(file.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def read(file: BinaryIO) -> Iterator[StoredJob]:
    """Yield the jobs of a file. Raises ConfigurationError if a line is none."""
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
            f"line {number} of the file is no job: {error}; mend or remove it, and"
            " import the file again: what is there already stays as it is"
        ) from None


@contextmanager
def replaced(path: str) -> Iterator[BinaryIO]:
    """Yield a file that takes this place once it is whole and durable.

    Only its owner can read it. What is no regular file, such as a pipe, is written to
    as it is. Raises ConfigurationError.
    """
    # The link stays, and what it leads to is replaced.
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
