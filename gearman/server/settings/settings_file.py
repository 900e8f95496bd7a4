"""The settings file (--settings): policies of functions, schedules, limits, hooks,
relays.

It is read at the start, and again on HUP.
"""

import logging
import os
import re
import tomllib
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ...commands import MAX_FUNCTION
from ...errors import ConfigurationError
from ...options import Policies, Policy, Schedule, policy
from ...text import shown
from ..relay.model import Relay
from .config import Config
from .levels import NOTICE
from .options import GROUPS
from .tables.hooks import Hook, hooks
from .tables.relays import relay
from .tables.schedules import schedule

log = logging.getLogger("gearman.server")

# Options that [limits] may have.
CHANGEABLE: Final = (
    *("max-connections", "max-connections-per-address"),
    *("max-functions", "max-functions-per-worker"),
    *("max-jobs", "max-jobs-per-function", "max-job-memory", "max-memory"),
    *("max-dead", "max-results"),
)

_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    names[-1].removeprefix("--"): settings["type"]
    for names, settings in GROUPS["limits"]
    if names[-1].startswith("--max-")
}
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")

_Table = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Settings:
    """The content of a settings file.

    `limits` has values for fields of Config.
    """

    policies: Policies = field(default_factory=Policies)
    schedules: tuple[Schedule, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    hooks: tuple[Hook, ...] = ()
    relays: tuple[Relay, ...] = ()

    def over(self, config: Config) -> Config:
        """Return the settings of the command line, with the limits of this file."""
        limits: dict[str, Any] = dict(self.limits)
        return replace(config, **limits)

    def __str__(self) -> str:
        return (
            f"{len(self.policies.rows)} policies, {len(self.schedules)} schedules,"
            f" {len(self.limits)} limits, {len(self.hooks)} hooks,"
            f" {len(self.relays)} relays"
        )


class SettingsFile:
    """A settings file, and the settings in use: `current`.

    The constructor reads the file. Raises ConfigurationError if it cannot be used.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.current = read_settings(path)

    def reload(self) -> bool:
        """Read the file again, and return whether that went well.

        If it cannot be used, an error is logged, and the old settings stay in use.
        """
        try:
            self.current = read_settings(self._path)
        except ConfigurationError as error:
            log.error("the settings in use are kept: %s", error)
            return False
        log.log(NOTICE, "settings read again: %s", self.current)
        return True


def open_settings(path: str | None) -> SettingsFile | None:
    """Return the settings file, None if there is none. Raises ConfigurationError."""
    return SettingsFile(path) if path else None


def read_settings(path: str) -> Settings:
    """Return the settings in a file.

    Raises ConfigurationError, whose text names the file, the table and the key.
    """
    with _named(path):
        tables = _load(path)
        folder = os.path.dirname(path)
        for name in tables:
            if name not in ("functions", "schedules", "limits", "hooks", "relay"):
                raise ConfigurationError(
                    f"there is no table {_title(name)}: the tables are"
                    " [functions.NAME], [schedules.NAME], [limits], [relay.NAME] and"
                    " [[hooks]]"
                )
        return Settings(
            Policies(dict(_policies(_table(tables, "functions")))),
            tuple(_schedules(_table(tables, "schedules"), folder)),
            dict(_limits(_table(tables, "limits"))),
            tuple(hooks(tables.get("hooks", []), folder)),
            tuple(_relays(_table(tables, "relay"), folder)),
        )


def _load(path: str) -> _Table:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(
            f"the settings file cannot be read: {error.strerror}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"this is no TOML: {error}") from error


def _policies(tables: _Table) -> Iterator[tuple[bytes, Policy]]:
    for name in tables:
        with _named(_title("functions", name)):
            yield _function(name), _policy(name, _table(tables, name))


def _function(name: str) -> bytes:
    function = name.encode()
    if 0 < len(function) <= MAX_FUNCTION and b"\0" not in function:
        return function
    raise ConfigurationError(
        f"the name of a function has 1 to {MAX_FUNCTION} bytes, and no zero bytes"
    )


def _policy(name: str, table: _Table) -> Policy:
    for key, value in table.items():
        # Without quotes, TOML takes [functions.mail.send] for tables in tables.
        if isinstance(value, dict):
            meant = _title("functions", f"{name}.{key}")
            raise ConfigurationError(
                f"'{shown(key.encode())}' must be no table: is {meant} meant, with"
                " quotes?"
            )
    return policy(table)


def _schedules(tables: _Table, folder: str) -> Iterator[Schedule]:
    for name in tables:
        with _named(_title("schedules", name)):
            yield schedule(name, _table(tables, name), folder)


def _relays(tables: _Table, folder: str) -> Iterator[Relay]:
    for name in tables:
        with _named(_title("relay", name)):
            yield relay(name, _table(tables, name), folder)


def _limits(table: _Table) -> Iterator[tuple[str, int]]:
    with _named("[limits]"):
        for name, value in table.items():
            yield name.replace("-", "_"), _limit(name, value)


def _limit(name: str, value: object) -> int:
    if name not in CHANGEABLE:
        known = ", ".join(CHANGEABLE)
        start = f"'{shown(name.encode())}' is no limit that can change"
        if name in _READERS:
            start = f"{name} is an option of the command line only"
        raise ConfigurationError(f"{start}: there are {known}")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ConfigurationError(
            f"{name} must be a number, or a text such as '64M', not this"
            f" {type(value).__name__}"
        )
    try:
        limit: int = _READERS[name](str(value))
    except ArgumentTypeError as error:
        raise ConfigurationError(f"{name} {error}") from error
    return limit


def _table(tables: _Table, name: str) -> _Table:
    found = tables.get(name, {})
    if isinstance(found, dict):
        return found
    raise ConfigurationError(f"{shown(name.encode())} must be a table")


def _title(*names: str) -> str:
    """Return the head of a table as the file has it."""
    parts = (shown(name.encode()) for name in names)
    quoted = (part if _BARE_KEY.fullmatch(part) else f'"{part}"' for part in parts)
    return f"[{'.'.join(quoted)}]"


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Have errors begin with the place where they are."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from error
