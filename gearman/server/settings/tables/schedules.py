"""The schedules of the settings file, and those that admin commands set.

Texts of commands may have bytes that are not UTF-8; they have surrogates for these.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from ....commands import MAX_FUNCTION, MAX_UNIQUE
from ....errors import ConfigurationError, OptionError
from ....options import JobOptions, Schedule, job_options, parse_job_options
from ....options.forms import split_pairs, value_of
from ....options.kinds import FLAG, PRIORITY, TIME
from ....text import shown
from ..cron import check_cron
from .files import read_named

KEYS: Final = (
    *("cron", "timezone", "function", "workload", "workload-file", "unique"),
    *("priority", "options", "catch-up", "paused"),
)
# All runs are in the background; one moment is no use for many runs.
_NOT_HERE: Final = ("background", "at")
_LOCAL_TIME: Final = "/etc/localtime"
# Bytes of the name of a program that sets schedules.
_MAX_OWNER: Final = 64


def schedule(name: str, table: Mapping[str, object], folder: str) -> Schedule:
    """Return the schedule of a table; relative paths in it start at `folder`.

    Raises ConfigurationError, whose text names the key.
    """
    if not _is_word(name):
        raise ConfigurationError(
            "the name must be a word without spaces and control characters"
        )
    for key in table:
        if key not in KEYS:
            raise ConfigurationError(
                f"'{_short(key)}' is no key of a schedule: there are {', '.join(KEYS)}"
            )
    return Schedule(
        name,
        check_cron(_text(table, "cron")),
        _zone(_text(table, "timezone")) if "timezone" in table else local_zone(),
        _name(table, "function", MAX_FUNCTION),
        _workload(table, folder),
        _name(table, "unique", MAX_UNIQUE) if "unique" in table else b"",
        _options(table),
        value_of("catch-up", table.get("catch-up", 0), TIME),
        value_of("paused", table.get("paused", False), FLAG),
    )


def set_schedule(name: str, text: bytes) -> Schedule:
    """Return the schedule that an admin command sets.

    `text` has the keys of a table as `key=value&key=value`, percent-encoded, and may
    have `owner`. Raises ConfigurationError.
    """
    table: dict[str, str] = {}
    for key, value in split_pairs(text):
        if key in table:
            raise OptionError(f"{key} is given twice: leave one out")
        table[key] = value.decode(errors="surrogateescape")
    if "workload-file" in table:
        raise OptionError("workload-file is for settings files only: use workload")
    owner = table.pop("owner", "")
    if owner and (not _is_word(owner) or len(owner.encode()) > _MAX_OWNER):
        raise OptionError(
            f"owner must be a word of at most {_MAX_OWNER} bytes, not '{_short(owner)}'"
        )
    return replace(schedule(name, table, ""), owner=owner)


def local_zone() -> tzinfo:
    """Return the time zone of this process: that of TZ, or of the machine.

    Raises ConfigurationError if TZ is not the name of a zone.
    """
    name = os.environ.get("TZ")
    if name is None:
        return _zone_of_the_machine()
    try:
        return _zone(name.removeprefix(":")) if name else UTC
    except ConfigurationError as error:
        raise ConfigurationError(
            f"timezone is missing, and the environment's TZ can't be used: {error}"
        ) from error


@cache
def _zone_of_the_machine() -> tzinfo:
    with suppress(OSError, ValueError), open(_LOCAL_TIME, "rb") as file:
        return ZoneInfo.from_file(file, _LOCAL_TIME)
    return UTC


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ConfigurationError(
            "timezone must be the name of a time zone that this machine knows, such as"
            f" Europe/Berlin, not '{_short(name)}'"
        ) from None


def _name(table: Mapping[str, object], key: str, most: int) -> bytes:
    text = _text(table, key)
    name = _bytes(text)
    if not 0 < len(name) <= most or b"\0" in name:
        raise ConfigurationError(
            f"{key} must be a text of 1 to {most} bytes without zero bytes, not"
            f" '{_short(text)}'"
        )
    return name


def _workload(table: Mapping[str, object], folder: str) -> bytes:
    if "workload-file" not in table:
        return _bytes(_text(table, "workload")) if "workload" in table else b""
    if "workload" in table:
        raise ConfigurationError("there are workload and workload-file: leave one out")
    return read_named("workload-file", folder, _text(table, "workload-file"))


def _options(table: Mapping[str, object]) -> JobOptions:
    given = table.get("options", "")
    if isinstance(given, str):
        options = parse_job_options(_bytes(given))
    elif isinstance(given, dict):
        options = job_options(given)
    else:
        raise ConfigurationError(
            "options must be a table, or a text such as 'retries=3&ttl=60', not this"
            f" {type(given).__name__}"
        )
    for key in _NOT_HERE:
        if getattr(options, key) is not None:
            raise ConfigurationError(f"options must be without {key} in a schedule")
    if "priority" not in table:
        return options
    if options.priority is not None:
        raise ConfigurationError("priority is also in options: leave one out")
    priority = value_of("priority", table["priority"], PRIORITY)
    return replace(options, priority=priority)


def _text(table: Mapping[str, object], key: str) -> str:
    if key not in table:
        raise ConfigurationError(f"{key} is missing")
    value = table[key]
    if isinstance(value, str):
        return value
    raise ConfigurationError(
        f"{key} must be a text in quotes, not this {type(value).__name__}"
    )


def _is_word(text: str) -> bool:
    return text.isprintable() and bool(text) and " " not in text


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _short(text: str) -> str:
    return shown(_bytes(text))
