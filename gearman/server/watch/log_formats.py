"""The formats of a line of the log: text, or an object of JSON.

A record may have facts besides its text: they are in its attribute `facts`, a dict of
values for JSON, and appear only in JSON.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from ..settings.levels import level_name

# Characters of one record, so that a single packet can't fill the disk.
MAX_RECORD: Final = 16 * 1024

_format_traceback = logging.Formatter().formatException

# Returns the text of a record, given how many records before it are missing.
Format = Callable[[logging.LogRecord, int], str]


def as_text(record: logging.LogRecord, lost: int) -> str:
    """Return level, time and text; further lines of a traceback are indented."""
    time = datetime.fromtimestamp(record.created)
    stamp = time.isoformat(sep=" ", timespec="microseconds")
    head = f"{level_name(record.levelno):>8} {stamp} "
    text = "\n    ".join(text_lines(record))
    if lost:
        text = f"{lost} earlier log records could not be written\n{head}{text}"
    return f"{head}{text}"[:MAX_RECORD]


def as_json(record: logging.LogRecord, lost: int) -> str:
    """Return an object with time, level and text, and with what else there is."""
    time = datetime.fromtimestamp(record.created, UTC)
    line: dict[str, object] = {
        "time": time.isoformat(timespec="microseconds"),
        "level": level_name(record.levelno),
        "text": record.getMessage()[:MAX_RECORD],
    }
    line |= getattr(record, "facts", {})
    if record.exc_info:
        line["traceback"] = _format_traceback(record.exc_info)[:MAX_RECORD]
    if lost:
        line["lost"] = lost
    return json.dumps(line)


FORMATS: Final[Mapping[str, Format]] = {"text": as_text, "json": as_json}


def text_lines(record: logging.LogRecord) -> list[str]:
    """Return the text of a record, and the lines of its traceback."""
    lines = [record.getMessage()]
    if record.exc_info:
        lines += _format_traceback(record.exc_info).splitlines()
    return [_escaped(line) for line in lines]


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )
