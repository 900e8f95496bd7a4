"""Small functions that programs for python-gearman import from here."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from . import address
from .blocking.polling import Source, ready
from .constants import DEFAULT_GEARMAN_PORT
from .payload import as_text

T = TypeVar("T")

# "host", "host:port", "[::1]:4730", "unix:/path", (host, port) or [host, port].
Address = str | bytes | tuple[str, int] | list[Any]


class Stopwatch:
    """A countdown of `time_remaining` seconds; with None it never ends."""

    def __init__(self, time_remaining: float | None) -> None:
        self.stop_time: float | None = None
        if time_remaining is not None:
            self.stop_time = time.monotonic() + time_remaining

    def get_time_remaining(self) -> float | None:
        """Return the seconds that are left, at least 0.0; None if it never ends."""
        if self.stop_time is None:
            return None
        return max(0.0, self.stop_time - time.monotonic())

    def has_time_remaining(self, time_comparison: float | None = None) -> bool:
        """Whether time is left, now or at `time_comparison` of time.monotonic()."""
        if self.stop_time is None:
            return True
        if time_comparison is None:
            time_comparison = time.monotonic()
        return time_comparison < self.stop_time


def disambiguate_server_parameter(hostport_tuple: Address) -> tuple[str, int]:
    """Return the host and port of a server.

    The argument is (host, port), or text that `gearman.address` reads. For a Unix
    socket the host is "unix:PATH", and the port has no meaning. Raises ValueError for
    other arguments.
    """
    if isinstance(hostport_tuple, tuple | list):
        if len(hostport_tuple) != 2:
            raise ValueError(
                f"a server is (host, port), not {len(hostport_tuple)} items"
            )
        host, port = hostport_tuple
        return host, port
    return host_and_port(as_text(hostport_tuple))


def host_and_port(text: str, default: int = DEFAULT_GEARMAN_PORT) -> tuple[str, int]:
    """Return the host and port of an address, with a default port.

    For a Unix socket the host is "unix:PATH". Raises ValueError, whose text is a
    sentence for the user, if `text` is not an address.
    """
    host, port, path = address.parse(text)
    return (f"{address.UNIX}{path}" if path else host), port or default


def select(
    rlist: Iterable[Source],
    wlist: Iterable[Source],
    xlist: Iterable[Source],
    timeout: float | None = None,
) -> tuple[list[Source], list[Source], list[Source]]:
    """Do what select.select does, for descriptors of any number.

    `timeout` is in seconds; None waits without limit.
    """
    found = ready(rlist, wlist, timeout, watched=xlist)
    return list(found[0]), list(found[1]), list(found[2])


def unlist(given_list: Sequence[T]) -> T | None:
    """Return the only item, or None if there is none.

    Raises ValueError if there are several.
    """
    if len(given_list) > 1:
        raise ValueError(len(given_list))
    return given_list[0] if given_list else None
