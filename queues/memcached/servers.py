"""Storing and reading items of memcached servers; every call waits for the answer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheError, MemcacheUnexpectedCloseError

from gearman.address import format_address
from gearman.address import parse as parse_address
from gearman.errors import ConfigurationError, QueueError

# Seconds that connecting may take, and seconds to wait for an answer.
CONNECT_TIMEOUT: Final = 3
TIMEOUT: Final = 5
PORT: Final = 11211
# Bytes that are sent, and keys that are requested, before answers are read.
_SENT: Final = 4 * 1024 * 1024
_ASKED: Final = 200

_OPTION: Final = "--memcached-servers (or --libmemcached-servers)"
T = TypeVar("T")


def parse(text: str) -> list[str | tuple[str, int]]:
    """Return the addresses of a list, separated by commas.

    Raises ConfigurationError if one is invalid or named twice.
    """
    addresses = [_parse_one(part.strip()) for part in text.split(",")]
    if len(set(addresses)) < len(addresses):
        raise ConfigurationError(f"{_OPTION} names a server more than once: {text}")
    return addresses


def _parse_one(text: str) -> str | tuple[str, int]:
    if text.startswith("/"):
        return text
    try:
        host, port, path = parse_address(text)
    except ValueError as error:
        raise ConfigurationError(f"{_OPTION}: {error}") from error
    return path or (host, port or PORT)


class Server:
    """A memcached server. Methods raise QueueError; the next call connects again."""

    def __init__(self, address: str | tuple[str, int]) -> None:
        self.name = address if isinstance(address, str) else format_address(*address)
        self._client = Client(
            address,
            connect_timeout=CONNECT_TIMEOUT,
            timeout=TIMEOUT,
            no_delay=True,
            default_noreply=False,
        )

    def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        try:
            return function(*arguments)
        except (MemcacheError, OSError) as error:
            self.close()
            raise QueueError(f"memcached at {self.name} failed: {_text(error)}") from (
                error
            )

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the items of these keys that exist."""
        found: dict[str, bytes] = {}
        for start in range(0, len(keys), _ASKED):
            some = keys[start : start + _ASKED]
            found.update(self._call(self._client.get_many, some))
        return found

    def set(self, items: Mapping[str, bytes]) -> None:
        """Store items; on return the server has confirmed each of them."""
        for group in _groups(items):
            if self._call(self._client.set_many, group):
                raise QueueError(f"memcached at {self.name} did not store all items")

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the items of these keys, if they exist."""
        some = list(keys)
        for start in range(0, len(some), _ASKED):
            self._call(self._client.delete_many, some[start : start + _ASKED])

    def stats(self, *kind: str) -> dict[bytes, Any]:
        return self._call(self._client.stats, *kind)

    def close(self) -> None:
        self._client.close()


def _groups(items: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    group: dict[str, bytes] = {}
    size = 0
    for key, data in items.items():
        if group and size + len(data) > _SENT:
            yield group
            group, size = {}, 0
        group[key] = data
        size += len(data)
    if group:
        yield group


def _text(error: Exception) -> str:
    """Return the message of a server or the system as printable text."""
    if isinstance(error, MemcacheUnexpectedCloseError):
        return "the connection was lost"
    said = error.args[0] if error.args else ""
    if isinstance(error, OSError):
        said = error.strerror or said
    text = said.decode("ascii", "replace") if isinstance(said, bytes) else str(said)
    return " ".join(text.split()) or type(error).__name__
