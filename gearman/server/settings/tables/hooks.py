"""The hooks of the settings file: who is told of events."""

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from ....commands import MAX_FUNCTION
from ....errors import ConfigurationError
from ....text import shown
from ...protocols.events import NAMES, Wish, check_event
from .files import read_named

KEYS: Final = (
    *("name", "url", "command", "function", "events", "functions"),
    *("secret", "secret-file"),
)
_TARGETS: Final = ("url", "command", "function")


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook: its name, which events it gets, and where they go.

    Exactly one of `url`, `command` (a program and its arguments) and `function` is set.
    Requests to a URL are signed with the `secret`, if there is one.
    """

    name: str
    wish: Wish
    url: str = ""
    command: tuple[str, ...] = ()
    function: bytes = b""
    secret: bytes = field(default=b"", repr=False)

    @property
    def kind(self) -> str:
        """What gets the events: `url`, `command` or `function`."""
        return next(kind for kind in _TARGETS if getattr(self, kind))


def hooks(tables: object, folder: str) -> Iterator[Hook]:
    """Yield the hooks of [[hooks]]; relative paths in them start at `folder`.

    Raises ConfigurationError, whose text names the hook and the key.
    """
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise ConfigurationError("hooks must be tables, each with the head [[hooks]]")
    names: set[str] = set()
    for number, table in enumerate(tables, 1):
        try:
            hook = _hook(f"hook {number}", table, folder)
            if hook.name in names:
                raise ConfigurationError(f"name {hook.name!r} is that of another hook")
        except ConfigurationError as error:
            raise ConfigurationError(f"[[hooks]] number {number}: {error}") from error
        names.add(hook.name)
        yield hook


def _hook(name: str, table: Mapping[str, object], folder: str) -> Hook:
    for key in table:
        if key not in KEYS:
            raise ConfigurationError(
                f"'{shown(key.encode())}' is no key of a hook: there are"
                f" {', '.join(KEYS)}"
            )
    given = [key for key in _TARGETS if key in table]
    if len(given) != 1:
        raise ConfigurationError(
            f"one of {', '.join(_TARGETS)} must say where the events go"
            + (f", not {' and '.join(given)}" if given else "")
        )
    if "url" not in table and ("secret" in table or "secret-file" in table):
        raise ConfigurationError("a secret is only for a hook with a url")
    return Hook(
        _text(table, "name") if "name" in table else name,
        Wish(_events(table), _functions(table)),
        _url(table) if "url" in table else "",
        _command(table["command"]) if "command" in table else (),
        _function(table) if "function" in table else b"",
        _secret(table, folder),
    )


def _events(table: Mapping[str, object]) -> frozenset[str]:
    names = _texts(table, "events")
    for name in names:
        try:
            check_event(name)
        except ValueError as error:
            raise ConfigurationError(f"events: {error}") from error
    return frozenset(names) or NAMES


def _functions(table: Mapping[str, object]) -> tuple[bytes, ...]:
    return tuple(pattern.encode() for pattern in _texts(table, "functions"))


def _url(table: Mapping[str, object]) -> str:
    url = _text(table, "url")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigurationError(
            "url must be an address such as https://example.com/path, not"
            f" '{shown(url.encode())}'"
        )
    if "@" in parts.netloc:
        raise ConfigurationError("url must have no user and password: use a secret")
    return url


def _command(value: object) -> tuple[str, ...]:
    try:
        words = shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ConfigurationError(f"command can't be split: {error}") from error
    if (
        not isinstance(words, list)
        or not words
        or not all(isinstance(word, str) and "\0" not in word for word in words)
        or not words[0]
    ):
        raise ConfigurationError(
            "command must be a text, or a list of texts: a program and its arguments"
        )
    return tuple(words)


def _function(table: Mapping[str, object]) -> bytes:
    name = _text(table, "function").encode()
    if not 0 < len(name) <= MAX_FUNCTION or b"\0" in name:
        raise ConfigurationError(
            f"function must have 1 to {MAX_FUNCTION} bytes, and no zero bytes"
        )
    return name


def _secret(table: Mapping[str, object], folder: str) -> bytes:
    if "secret-file" not in table:
        return _text(table, "secret").encode() if "secret" in table else b""
    if "secret" in table:
        raise ConfigurationError("there are secret and secret-file: leave one out")
    name = _text(table, "secret-file")
    secret = read_named("secret-file", folder, name).strip()
    if not secret:
        path = os.path.join(folder, name)
        raise ConfigurationError(f"secret-file {path!r} is empty")
    return secret


def _text(table: Mapping[str, object], key: str) -> str:
    value = table[key]
    if isinstance(value, str) and value and value.isprintable():
        return value
    raise ConfigurationError(f"{key} must be a text, which is not empty")


def _texts(table: Mapping[str, object], key: str) -> list[str]:
    value = table.get(key, [])
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    raise ConfigurationError(f'{key} must be a list of texts, such as ["a", "b"]')
