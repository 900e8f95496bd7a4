"""The relays of the settings file: which jobs are passed on, and to where."""

import os
import re
import ssl
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

from ....address import UNIX, parse
from ....commands import DEFAULT_PORT, MAX_FUNCTION
from ....errors import ConfigurationError
from ....text import shown
from ...relay.model import BYTES, JOBS, Relay, TlsFiles
from ..values import size

KEYS: Final = (
    *("servers", "functions", "tls", "ca-file", "certificate-file", "key-file"),
    *("max-jobs", "max-bytes", "keep-uniques"),
)
_FILES: Final = ("ca-file", "certificate-file", "key-file")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,24}")
_MOST_JOBS: Final = 100_000
_size: Final = size(1, 1024**3)
_T = TypeVar("_T")


def relay(name: str, table: Mapping[str, object], folder: str) -> Relay:
    """Return the relay of a table; relative paths in it start at `folder`.

    Raises ConfigurationError, whose text names the key.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            "the name of a relay has 1 to 24 letters, digits, dots, hyphens and"
            " underscores"
        )
    for key in table:
        if key not in KEYS:
            raise ConfigurationError(
                f"'{shown(key.encode())}' is no key of a relay: there are"
                f" {', '.join(KEYS)}"
            )
    return Relay(
        name,
        tuple(_listed(table, "servers", "such as ['gear2.example:4730']", _server)),
        tuple(_listed(table, "functions", "such as ['mail.*']", _function)),
        _tls(table, folder),
        _jobs(table),
        _bytes(table),
        _flag(table, "keep-uniques"),
    )


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Return the context of a connection. Raises OSError if a file can't be used."""
    context = ssl.create_default_context(cafile=files.authorities or None)
    if files.certificate:
        context.load_cert_chain(files.certificate, files.key or None)
    return context


def _listed(
    table: Mapping[str, object], key: str, example: str, read: Callable[[str], _T]
) -> Iterator[_T]:
    values = table.get(key)
    if not isinstance(values, list) or not values:
        raise ConfigurationError(f"{key} must be a list of texts, {example}")
    for value in values:
        if not isinstance(value, str):
            raise ConfigurationError(f"{key} must be a list of texts, {example}")
        yield read(value)


def _server(text: str) -> tuple[str, int]:
    try:
        address = parse(text)
    except ValueError as error:
        raise ConfigurationError(f"servers: {error}") from error
    if address.path:
        return UNIX + address.path, 0
    return address.host, address.port or DEFAULT_PORT


def _function(text: str) -> bytes:
    name = text.encode()
    if 0 < len(name) <= MAX_FUNCTION and b"\0" not in name:
        return name
    raise ConfigurationError(
        f"functions: a name has 1 to {MAX_FUNCTION} bytes, and no zero bytes"
    )


def _tls(table: Mapping[str, object], folder: str) -> TlsFiles | None:
    given = [key for key in _FILES if key in table]
    if not _flag(table, "tls"):
        if given:
            raise ConfigurationError(f"{given[0]} is only for a relay with tls = true")
        return None
    authorities, certificate, key = (_path(table, key, folder) for key in _FILES)
    if key and not certificate:
        raise ConfigurationError("there is a key-file, but no certificate-file")
    files = TlsFiles(authorities, certificate, key)
    try:
        tls_context(files)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise ConfigurationError(
            f"{' and '.join(given)} cannot be used: {reason}"
        ) from error
    return files


def _path(table: Mapping[str, object], key: str, folder: str) -> str:
    if key not in table:
        return ""
    value = table[key]
    if isinstance(value, str) and value and "\0" not in value:
        return os.path.join(folder, value)
    raise ConfigurationError(f"{key} must be the name of a file")


def _jobs(table: Mapping[str, object]) -> int:
    value = table.get("max-jobs", JOBS)
    if type(value) is int and 1 <= value <= _MOST_JOBS:
        return value
    raise ConfigurationError(f"max-jobs must be a number from 1 to {_MOST_JOBS}")


def _bytes(table: Mapping[str, object]) -> int:
    value = table.get("max-bytes", BYTES)
    if type(value) in (int, str):
        try:
            return _size(str(value))
        except ArgumentTypeError as error:
            raise ConfigurationError(f"max-bytes {error}") from error
    raise ConfigurationError("max-bytes must be a number, or a text such as '64M'")


def _flag(table: Mapping[str, object], key: str) -> bool:
    value = table.get(key, False)
    if isinstance(value, bool):
        return value
    raise ConfigurationError(f"{key} must be true or false")
