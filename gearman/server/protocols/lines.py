"""The lines that answer admin commands: of gearmand, and of this server."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from ...commands import MAX_FUNCTION
from ...text import printable
from ..broker import FULL

OK: Final = b"OK\r\n"
END: Final = b".\n"

# A piece of a list has about so many bytes, and takes several steps of so many lines;
# omitted items count as lines. Some monitors read once only, so a list that is not
# longer must come as a whole.
PIECE_SIZE: Final = 64 * 1024
PIECE_LINES: Final = 50

# A line of JSON, of settings, and a change of a job take the time of so many lines.
MUCH: Final = 5

# A whole answer, or the pieces of a list.
Answer = bytes | Iterator[bytes]

NO_FUNCTION: Final = b"ERR function not found\r\n"
NO_JOB: Final = b"ERR UNKNOWN_JOB\r\n"


def pieces(lines: Iterable[bytes], weight: int = 1) -> Iterator[bytes]:
    """Yield the pieces of a list; the last one ends with the line `.`.

    Other peers may be served after each step: a step that fills no piece is empty. It
    has PIECE_LINES lines, or fewer if a line takes the time of `weight` lines.
    """
    piece: list[bytes] = []
    size = done = 0
    for line in lines:
        done += 1
        # A long search yields millions of empty lines: to join these takes long.
        if line:
            piece.append(line)
            size += len(line)
            done += weight - 1
        if size >= PIECE_SIZE:
            yield b"".join(piece)
            piece.clear()
            size = done = 0
        elif done >= PIECE_LINES:
            done = 0
            yield b""
    yield b"".join([*piece, END])


def json_line(record: Mapping[str, object]) -> bytes:
    """Return an object as a line of JSON, in ASCII."""
    # Control characters are escaped: it forges no line.
    return json.dumps(record).encode() + b"\n"


def counted(steps: Iterable[bool]) -> Iterator[bytes]:
    """Yield empty pieces while a command goes on, and then how often it did something.

    Each step says whether it has done something.
    """
    done = weight = 0
    for did in steps:
        done += did
        weight += MUCH if did else 1
        if weight >= PIECE_LINES:
            weight = 0
            yield b""
    yield b"OK %d\r\n" % done


def unknown(command: bytes) -> bytes:
    text = b"ERR UNKNOWN_COMMAND Unknown+server+command%b\r\n"
    return text % printable(command)


def denied(command: bytes) -> bytes:
    text = b"%b+is+only+for+hosts+that+the+server+names+with+--admin-from"
    return b"ERR PERMISSION_DENIED %b\r\n" % (text % command)


def incomplete(command: bytes) -> bytes:
    text = b"An+incomplete+set+of+arguments+was+sent+to+this+command+"
    return b"ERR INVALID_ARGUMENTS %b%b\r\n" % (text, command)


def invalid(sentence: str) -> bytes:
    """Refuse arguments; the sentence says why."""
    return b"ERR INVALID_ARGUMENTS %b\r\n" % printable(sentence.encode())


def full(limit: str) -> bytes:
    return b"ERR QUEUE_ERROR %b\r\n" % FULL[limit].replace(b" ", b"+")


def too_long(name: bytes) -> bytes:
    """Refuse a name of a function that is too long; return b"" if it is not."""
    if len(name) > MAX_FUNCTION:
        return b"ERR ARGUMENT_TOO_LARGE Function+name+too+large\r\n"
    return b""
